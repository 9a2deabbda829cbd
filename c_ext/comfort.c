/* RFC 3389 comfort noise: white noise through a normalised lattice, and the measure of noise.
 *
 * Each section of a normalised lattice turns a pair of waves like a rotation does: white noise
 * of some power leaves it with the same power whatever the coefficients, so level and colour are
 * set apart from each other, and no coefficient below one in magnitude can make it grow, not
 * even while it changes.  The sign is the one in common use: noise that is stronger at low
 * frequencies has a negative first coefficient.
 */
#include "comfort.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    LEVEL_MASK = 0x7F,
    LEVEL_LOWEST = 127,
    INDEX_ZERO = 127,
    INDEX_MAX = 254, /* 255 is reserved: RFC 3389 section 3.2 */
    SEED = 0x2545F491,
    TICKS_PER_SECOND = 100,
    MS_PER_SECOND = 1000
};

static const float REFLECTION_STEP = 258.0F / 32768.0F;
static const double FULL_SCALE = 32768.0;
static const double DECIBEL_DOWN = 0.89125093813374556; /* 10^(-1/20), of an amplitude */
static const double HALF_DECIBEL_DOWN = 0.94406087628592339;
static const float WHITE_STEP = 8.0654e-10F; /* sqrt(3) / 2^31: uniform numbers of power 1 */
static const double FLOOR = 1.0 / 1024;      /* white noise added before fitting: -30 dB */

/* -- making -------------------------------------------------------------------------------- */

static int is_rate(uint32_t rate_hz)
{
    return rate_hz == 8000 || rate_hz == 16000 || rate_hz == 48000;
}

int ot_comfort_init(ot_comfort *comfort, uint32_t rate_hz)
{
    if (!is_rate(rate_hz))
        return EINVAL;
    memset(comfort, 0, sizeof(*comfort));
    comfort->random = SEED;
    comfort->tick_samples = rate_hz / TICKS_PER_SECOND;
    for (uint32_t i = 0; i < OT_COMFORT_ORDER; i++)
        comfort->transmission[i] = 1.0F;
    return 0;
}

/* Multiplied out, because the powf of a libm may differ in the last bit from processor to
 * processor. */
static float gain_of(uint32_t level)
{
    double gain = FULL_SCALE;

    for (uint32_t i = 0; i < level; i++)
        gain *= DECIBEL_DOWN;
    return (float)gain;
}

static float reflection_of(uint8_t index)
{
    return (float)(index - INDEX_ZERO) * REFLECTION_STEP;
}

int ot_comfort_set(ot_comfort *comfort, const uint8_t *payload, size_t octets)
{
    uint32_t given = 0;

    if (octets == 0)
        return EBADMSG;
    comfort->gain_target = gain_of(payload[0] & LEVEL_MASK);
    while (given < OT_COMFORT_ORDER && given + 1 < octets && payload[given + 1] <= INDEX_MAX) {
        comfort->target[given] = reflection_of(payload[given + 1]);
        given++;
    }
    for (uint32_t i = given; i < OT_COMFORT_ORDER; i++)
        comfort->target[i] = 0.0F;
    comfort->glide_ticks = comfort->started ? OT_COMFORT_GLIDE_TICKS : 1;
    comfort->started = 1;
    return 0;
}

static void glide(ot_comfort *comfort)
{
    float left = (float)comfort->glide_ticks;

    if (comfort->glide_ticks == 0)
        return;
    comfort->glide_ticks--;
    comfort->gain += (comfort->gain_target - comfort->gain) / left;
    comfort->order = 0;
    for (uint32_t i = 0; i < OT_COMFORT_ORDER; i++) {
        float was = comfort->reflection[i];
        float now = left > 1.0F ? was + (comfort->target[i] - was) / left : comfort->target[i];
        comfort->reflection[i] = now;
        comfort->transmission[i] = sqrtf(1.0F - now * now);
        comfort->order = now != 0.0F ? (uint8_t)(i + 1) : comfort->order;
    }
}

static float white(ot_comfort *comfort)
{
    comfort->random ^= comfort->random << 13;
    comfort->random ^= comfort->random >> 17;
    comfort->random ^= comfort->random << 5;
    return (float)(int32_t)comfort->random * WHITE_STEP;
}

static float shape(ot_comfort *comfort, float wave)
{
    for (uint32_t i = comfort->order; i-- > 0;) {
        float back = comfort->waves[i];
        float onward = comfort->transmission[i] * wave - comfort->reflection[i] * back;
        if (i + 1 < comfort->order)
            comfort->waves[i + 1] = comfort->reflection[i] * wave + comfort->transmission[i] * back;
        wave = onward;
    }
    comfort->waves[0] = wave;
    return wave;
}

static int16_t rounded(float sample)
{
    if (sample >= (float)INT16_MAX)
        return INT16_MAX;
    if (sample <= (float)INT16_MIN)
        return INT16_MIN;
    return (int16_t)(sample + (sample < 0.0F ? -0.5F : 0.5F));
}

static void make_piece(ot_comfort *comfort, int16_t *pcm, size_t samples)
{
    float gain = comfort->gain;

    glide(comfort);
    float step = (comfort->gain - gain) / (float)samples;
    for (size_t i = 0; i < samples; i++) {
        gain += step;
        pcm[i] = rounded(gain * shape(comfort, white(comfort)));
    }
}

void ot_comfort_make(ot_comfort *comfort, int16_t *pcm, size_t samples)
{
    while (samples > 0) {
        size_t piece = samples < comfort->tick_samples ? samples : comfort->tick_samples;
        if (comfort->started)
            make_piece(comfort, pcm, piece);
        else
            memset(pcm, 0, piece * sizeof(*pcm));
        pcm += piece;
        samples -= piece;
    }
}

/* -- measuring ----------------------------------------------------------------------------- */

void ot_comfort_meter_init(ot_comfort_meter *meter)
{
    memset(meter, 0, sizeof(*meter));
}

static double mean_product(const int16_t *pcm, size_t samples, size_t lag)
{
    int64_t sum = 0;

    for (size_t i = lag; i < samples; i++)
        sum += (int32_t)pcm[i] * pcm[i - lag];
    return (double)sum / (double)samples;
}

void ot_comfort_meter_add(ot_comfort_meter *meter, const int16_t *pcm, size_t samples)
{
    if (samples == 0)
        return;
    if (meter->measures < OT_COMFORT_MEASURES)
        meter->measures++;
    for (size_t lag = 0; lag <= OT_COMFORT_ORDER_SENT; lag++) {
        double *known = &meter->correlation[lag];
        *known += (mean_product(pcm, samples, lag) - *known) / meter->measures;
    }
}

static uint8_t level_of(double mean_square)
{
    double bound = FULL_SCALE * FULL_SCALE * HALF_DECIBEL_DOWN * HALF_DECIBEL_DOWN;
    uint8_t level = 0;

    for (; level < LEVEL_LOWEST && mean_square < bound; level++)
        bound *= DECIBEL_DOWN * DECIBEL_DOWN;
    return level;
}

static uint8_t index_of(double reflection)
{
    double index = (double)INDEX_ZERO + reflection / (double)REFLECTION_STEP + 0.5;

    if (index <= 0.0)
        return 0;
    return index >= (double)INDEX_MAX ? INDEX_MAX : (uint8_t)index;
}

/* One step of Levinson and Durbin: the next coefficient of the predictor of order m - 1. */
static double next_reflection(const double *correlation, double *predictor, double *error,
                              uint32_t m)
{
    double sum = correlation[m];

    for (uint32_t i = 1; i < m; i++)
        sum += predictor[i] * correlation[m - i];
    double reflection = -sum / *error;
    for (uint32_t i = 1, j = m - 1; i <= j; i++, j--) {
        double first = predictor[i], last = predictor[j];
        predictor[i] = first + reflection * last;
        predictor[j] = last + reflection * first;
    }
    predictor[m] = reflection;
    *error *= 1.0 - reflection * reflection;
    return reflection;
}

size_t ot_comfort_meter_write(const ot_comfort_meter *meter, uint8_t *payload, size_t room)
{
    double predictor[OT_COMFORT_ORDER_SENT + 1] = {0};
    double error = meter->correlation[0] * (1.0 + FLOOR);
    size_t octets = 1; /* trailing zeros are not sent */

    if (room == 0)
        return 0;
    payload[0] = level_of(meter->correlation[0]);
    for (uint32_t m = 1; m <= OT_COMFORT_ORDER_SENT && m < room && error > 0.0; m++) {
        payload[m] = index_of(next_reflection(meter->correlation, predictor, &error, m));
        octets = payload[m] != INDEX_ZERO ? m + 1 : octets;
    }
    return octets;
}

size_t ot_comfort_analyse(const int16_t *pcm, size_t samples, uint32_t rate_hz, uint8_t *payload,
                          size_t room)
{
    size_t tick = rate_hz / TICKS_PER_SECOND;
    ot_comfort_meter meter;

    ot_comfort_meter_init(&meter);
    for (; tick && samples >= tick; samples -= tick, pcm += tick)
        ot_comfort_meter_add(&meter, pcm, tick);
    return ot_comfort_meter_write(&meter, payload, room);
}

/* -- sending ------------------------------------------------------------------------------- */

int ot_comfort_sender_init(ot_comfort_sender *sender, uint32_t rate_hz)
{
    if (!is_rate(rate_hz))
        return EINVAL;
    memset(sender, 0, sizeof(*sender));
    sender->rate_hz = rate_hz;
    return 0;
}

static int changed(const ot_comfort_sender *sender)
{
    int difference = level_of(sender->meter.correlation[0]) - sender->level;

    return difference >= OT_COMFORT_CHANGE_DB || difference <= -OT_COMFORT_CHANGE_DB;
}

static int is_due(const ot_comfort_sender *sender)
{
    return !sender->described || sender->since_ms >= OT_COMFORT_EVERY_MS ||
           (sender->since_ms >= OT_COMFORT_SOONEST_MS && changed(sender));
}

int ot_comfort_sender_run(ot_comfort_sender *sender, const int16_t *pcm, size_t samples, int voice,
                          uint8_t *payload)
{
    uint32_t ms = (uint32_t)(samples * MS_PER_SECOND / sender->rate_hz);

    if (voice) {
        sender->quiet_ms = 0;
        sender->described = 0;
        ot_comfort_meter_init(&sender->meter);
        return OT_COMFORT_SEND_VOICE;
    }
    ot_comfort_meter_add(&sender->meter, pcm, samples);
    sender->since_ms += ms;
    if (sender->quiet_ms < OT_COMFORT_HANGOVER_MS) {
        sender->quiet_ms += ms;
        return OT_COMFORT_SEND_VOICE;
    }
    if (!is_due(sender))
        return OT_COMFORT_SEND_NOTHING;
    size_t octets = ot_comfort_meter_write(&sender->meter, payload, OT_COMFORT_PAYLOAD_MAX);
    sender->level = payload[0];
    sender->since_ms = 0;
    sender->described = 1;
    return (int)octets;
}
