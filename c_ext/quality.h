/* How a received stream will have sounded: VoIP metrics (RFC 3611 section 4.7) and the E-model.
 *
 * An ot_quality is told the fate of every packet in the order of their sequence numbers, and gives
 * a report at any time.  It is embedded where the stream lives; nothing here allocates or waits.
 */
#ifndef OT_QUALITY_H
#define OT_QUALITY_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

enum {
    OT_GMIN = 16, /* received packets in a row that end a burst */
    OT_METRIC_UNKNOWN = 127
};

/* The VoIP metrics block of RFC 3611 section 4.7, field by field. */
typedef struct {
    uint32_t ssrc;            /* of the stream that is judged */
    uint8_t loss_rate;        /* of 256; like all rates and densities here at most 255 */
    uint8_t discard_rate;
    uint8_t burst_density;    /* lost or discarded inside bursts */
    uint8_t gap_density;      /* lost or discarded outside */
    uint16_t burst_duration_ms; /* mean */
    uint16_t gap_duration_ms;
    uint16_t round_trip_ms;   /* 0: not known */
    uint16_t end_system_delay_ms;
    int8_t signal_dbm0;       /* 127: not known, here and below */
    int8_t noise_dbm0;
    uint8_t echo_return_loss_db;
    uint8_t gmin;
    uint8_t r_factor;         /* 0 to 100 */
    uint8_t external_r_factor;
    uint8_t mos_lq;           /* tenths, 10 to 50 */
    uint8_t mos_cq;
    uint8_t receiver;         /* ot_receiver_config and the adjustment rate, as on the wire */
    uint16_t jitter_nominal_ms;
    uint16_t jitter_maximum_ms;
    uint16_t jitter_absolute_ms;
} ot_voip_metrics;

/* ot_voip_metrics.receiver: one of each, and half the time in packets that the buffer needs to
 * follow a change (0: not told) in the low four bits. */
typedef enum {
    OT_PLC_OFF = 0x40,
    OT_PLC_ENHANCED = 0x80,
    OT_PLC_STANDARD = 0xC0,
    OT_JITTER_FIXED = 0x20,
    OT_JITTER_ADAPTIVE = 0x30
} ot_receiver_config;

typedef struct {
    uint64_t expected;
    uint64_t lost;           /* never came */
    uint64_t discarded;      /* came too late or too early to be played */
    uint64_t runs;           /* of packets lost or discarded in a row */
    uint64_t bursts;         /* that have ended */
    uint64_t burst_packets;
    uint64_t burst_losses;
    uint64_t since_loss;     /* received in a row until now */
    uint64_t open_packets;   /* from the first to the last loss of a pattern that has not ended */
    uint64_t open_losses;
    uint64_t open_at;        /* packets before it */
    uint8_t began_in_burst;  /* no gap came first */
    uint64_t noise_power;    /* the level that parts speech from its pauses */
    uint64_t signal_sum;     /* mean squares of frames above it */
    uint64_t signal_frames;
    uint64_t noise_sum;
    uint64_t noise_frames;
} ot_quality;

/* What the report needs beside the packets. */
typedef struct {
    int codec;               /* ot_codec */
    uint32_t ssrc;           /* of the stream received */
    uint16_t packet_ms;
    uint16_t round_trip_ms;  /* 0: not known */
    uint16_t end_system_delay_ms; /* ours, both directions: packing, buffer, device */
    uint16_t remote_end_system_delay_ms; /* as the far end's metrics say; 0: like ours */
    uint16_t jitter_nominal_ms;
    uint16_t jitter_maximum_ms;
    uint16_t jitter_absolute_ms;
    uint8_t echo_return_loss_db; /* OT_METRIC_UNKNOWN without a measure */
    uint8_t receiver;        /* ot_receiver_config */
} ot_quality_setup;

void ot_quality_init(ot_quality *quality);
/* The fate of `packets` (at most 64) in sequence; bit 0 is the first.  A bit in neither is played,
 * a bit in both is lost. */
void ot_quality_feed(ot_quality *quality, uint64_t lost, uint64_t discarded, uint32_t packets);
/* A frame that was received and decoded; `energy` is the sum of its squares. */
void ot_quality_hear(ot_quality *quality, uint64_t energy, uint32_t samples);
void ot_quality_report(const ot_quality *quality, const ot_quality_setup *setup,
                       ot_voip_metrics *metrics);

/* The E-model, ITU-T G.107 with every parameter at its default but delay, codec and loss. */
double ot_emodel_delay(double one_way_ms); /* Id beyond what R = 93.2 contains */
/* Ie-eff; burst_ratio is 1 for random loss, more when losses follow each other. */
double ot_emodel_equipment(int codec, double loss_percent, double burst_ratio);
double ot_emodel_mos(double r);
double ot_level_dbm0(double mean_square); /* -127 for silence; within 0.1 dB */

/* cdef: end */

#endif
