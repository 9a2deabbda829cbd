#include "echo.h"

#include <errno.h>
#include <math.h>
#include <speex/speex_echo.h>
#include <speex/speex_preprocess.h>
#include <stdlib.h>
#include <string.h>

#include "rate.h"

enum {
    AGC_GAIN_MAX_DB = 30,
    RESIDUAL_DB = -45,        /* echo left by the canceller, suppressed when nobody speaks here */
    RESIDUAL_ACTIVE_DB = -15, /* and in double talk */
    DIVERGED_TICKS = 15,   /* that add a little, */
    DIVERGED_FAST = 5      /* or a fifth as many that double the power */
};

static const float AGC_LEVEL = 11300.0F; /* at 8 kHz: speech comes out at -22 dBFS */
static const float DIVERGED_POWER = 1e4F; /* a sample, more going out than came in */

struct ot_echo {
    SpeexEchoState *canceller; /* NULL: off */
    SpeexPreprocessState *cleaner;
    uint32_t samples; /* of a tick */
    uint32_t diverged_ticks;
    float emphasis;
    int32_t headroom; /* the canceller works so many times lower */
    int16_t last_mic;
    int16_t last_out;
    uint32_t delay_at; /* where the newest tick goes */
    uint32_t delay_samples; /* of the line: the delay and a tick */
    int16_t delay_line[];
};

/* -- making --------------------------------------------------------------------------------- */

static int open_canceller(ot_echo *echo, uint32_t rate_hz, uint32_t tail_ms)
{
    int rate = (int)rate_hz;

    echo->emphasis = rate_hz < 12000 ? 0.9F : rate_hz < 24000 ? 0.98F : 0.99F;
    echo->headroom = rate_hz < 24000 ? 4 : 3;
    echo->canceller =
        speex_echo_state_init((int)echo->samples, (int)(rate_hz / 1000 * tail_ms));
    if (echo->canceller == NULL)
        return ENOMEM;
    speex_echo_ctl(echo->canceller, SPEEX_ECHO_SET_SAMPLING_RATE, &rate);
    return 0;
}

static void set(SpeexPreprocessState *cleaner, int what, int value)
{
    speex_preprocess_ctl(cleaner, what, &value);
}

static int open_cleaner(ot_echo *echo, uint32_t rate_hz, const ot_echo_options *options)
{
    /* speexdsp measures loudness a bin, and the same voice fills fewer of more bins */
    float level = AGC_LEVEL * sqrtf((float)rate_hz / 8000.0F);
    SpeexPreprocessState *cleaner =
        speex_preprocess_state_init((int)echo->samples, (int)rate_hz);

    if (cleaner == NULL)
        return ENOMEM;
    echo->cleaner = cleaner;
    set(cleaner, SPEEX_PREPROCESS_SET_DENOISE, options->suppress_noise_db > 0);
    set(cleaner, SPEEX_PREPROCESS_SET_NOISE_SUPPRESS, -(int)options->suppress_noise_db);
    set(cleaner, SPEEX_PREPROCESS_SET_AGC, options->agc != 0);
    set(cleaner, SPEEX_PREPROCESS_SET_AGC_MAX_GAIN, AGC_GAIN_MAX_DB);
    speex_preprocess_ctl(cleaner, SPEEX_PREPROCESS_SET_AGC_LEVEL, &level);
    if (echo->canceller) {
        speex_preprocess_ctl(cleaner, SPEEX_PREPROCESS_SET_ECHO_STATE, echo->canceller);
        set(cleaner, SPEEX_PREPROCESS_SET_ECHO_SUPPRESS, RESIDUAL_DB);
        set(cleaner, SPEEX_PREPROCESS_SET_ECHO_SUPPRESS_ACTIVE, RESIDUAL_ACTIVE_DB);
    }
    return 0;
}

static int is_valid(uint32_t rate_hz, uint32_t tail_ms, const ot_echo_options *options)
{
    return ot_rate_tick(rate_hz) != 0 && tail_ms >= OT_ECHO_TAIL_MS_MIN &&
           tail_ms <= OT_ECHO_TAIL_MS_MAX && options->delay_ms <= OT_ECHO_DELAY_MS_MAX &&
           options->suppress_noise_db <= OT_ECHO_NOISE_DB_MAX;
}

int ot_echo_create(ot_echo **out, uint32_t rate_hz, uint32_t tail_ms,
                   const ot_echo_options *options)
{
    if (!is_valid(rate_hz, tail_ms, options))
        return EINVAL;
    uint32_t line = ot_rate_tick(rate_hz) + rate_hz / 1000 * options->delay_ms;
    ot_echo *echo = calloc(1, sizeof(*echo) + line * sizeof(echo->delay_line[0]));
    if (echo == NULL)
        return ENOMEM;
    echo->samples = ot_rate_tick(rate_hz);
    echo->delay_samples = line;
    int error = options->cancel_echo ? open_canceller(echo, rate_hz, tail_ms) : 0;
    if (!error)
        error = open_cleaner(echo, rate_hz, options);
    if (error)
        ot_echo_destroy(echo);
    else
        *out = echo;
    return error;
}

void ot_echo_destroy(ot_echo *echo)
{
    if (echo == NULL)
        return;
    if (echo->cleaner)
        speex_preprocess_state_destroy(echo->cleaner);
    if (echo->canceller)
        speex_echo_state_destroy(echo->canceller);
    free(echo);
}

/* -- running -------------------------------------------------------------------------------- */

/* Puts the newest tick into the line and takes out the one of delay_ms ago. */
static void delay(ot_echo *echo, int16_t *late, const int16_t *played)
{
    uint32_t oldest = echo->delay_at + echo->samples;

    for (uint32_t i = 0; i < echo->samples; i++, oldest++) {
        echo->delay_line[echo->delay_at++] = played ? (int16_t)(played[i] / echo->headroom) : 0;
        late[i] = echo->delay_line[oldest % echo->delay_samples];
        if (echo->delay_at == echo->delay_samples)
            echo->delay_at = 0;
    }
}

/* Power a sample, weighted as the canceller does it. */
static float emphasised_power(const ot_echo *echo, const int16_t *pcm, int16_t *last)
{
    float before = *last, power = 0.0F;

    for (uint32_t i = 0; i < echo->samples; i++) {
        float now = pcm[i] - echo->emphasis * before;
        power += now * now;
        before = pcm[i];
    }
    *last = pcm[echo->samples - 1];
    return power / (float)echo->samples;
}

/* speexdsp resets a canceller that has lost its way, and says so on stderr, which a tick must
 * not.  Headroom keeps filters that are still learning away from one of its limits; the other,
 * sound added for 50 ticks, we watch, and are there first.  What is left is a line to stderr under
 * full-scale tones in a room that keeps turning its phase. */
static void watch(ot_echo *echo, const int16_t *in, const int16_t *out)
{
    float power_in = emphasised_power(echo, in, &echo->last_mic);
    float added = emphasised_power(echo, out, &echo->last_out) - power_in - DIVERGED_POWER;

    if (added <= 0.0F)
        echo->diverged_ticks = 0;
    else
        echo->diverged_ticks += added > power_in ? DIVERGED_FAST : 1;
    if (echo->diverged_ticks < DIVERGED_TICKS)
        return;
    speex_echo_state_reset(echo->canceller);
    echo->diverged_ticks = 0;
}

/* Back to full level, with the bits that the headroom cost the microphone. */
static int16_t restored(const ot_echo *echo, int16_t mic, int16_t in, int16_t out)
{
    int32_t value = mic + echo->headroom * (out - in);
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

static void cancel(ot_echo *echo, int16_t *mic, const int16_t *played)
{
    int16_t late[OT_RATE_TICK_MAX], in[OT_RATE_TICK_MAX], out[OT_RATE_TICK_MAX];

    delay(echo, late, played);
    for (uint32_t i = 0; i < echo->samples; i++)
        in[i] = (int16_t)(mic[i] / echo->headroom);
    speex_echo_cancellation(echo->canceller, in, late, out);
    watch(echo, in, out);
    for (uint32_t i = 0; i < echo->samples; i++)
        mic[i] = restored(echo, mic[i], in[i], out[i]);
}

void ot_echo_run(ot_echo *echo, int16_t *mic, const int16_t *played)
{
    if (echo->canceller)
        cancel(echo, mic, played);
    speex_preprocess_run(echo->cleaner, mic);
}
