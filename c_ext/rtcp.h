/* RTCP: what reports say (RFC 3550 section 6, RFC 3611), read and written.
 *
 * Compound packets only: each begins with a sender or receiver report.  Reduced-size packets
 * (RFC 5506) are refused.  Octets from the wire are read as a whole or not at all.
 */
#ifndef OT_RTCP_H
#define OT_RTCP_H

#include <stddef.h>
#include <stdint.h>

#include "quality.h"

/* cdef: begin */

enum {
    OT_RTCP_MAX = 192,    /* the longest that ot_rtcp_write writes */
    OT_CNAME_OCTETS = 16, /* of ours (RFC 7022) */
    OT_CNAME_MAX = 255,
    OT_BYES_MAX = 31
};

typedef struct {
    uint32_t sender_ssrc;     /* of the first report in the compound */
    uint32_t ntp_middle;      /* of its sender report; 0 when there was none */
    uint32_t last_report;     /* LSR that the far end returns to us */
    uint32_t delay_since;     /* DLSR, 1/65536 s */
    uint32_t jitter;
    int32_t packets_lost;
    uint8_t fraction_lost;
    uint8_t has_block;        /* a report block about our SSRC was present */
    uint8_t bye;              /* the sender of the report says BYE */
    uint8_t bye_count;        /* whoever else does, too: a mixer may speak for others */
    uint8_t cname_octets;     /* of the sender; 0: not told */
    uint8_t has_metrics;      /* a VoIP metrics block about our SSRC was present */
    uint8_t has_reference_reply; /* DLRR, the answer to our receiver reference time */
    uint8_t names_us;         /* SR, RR, SDES or BYE give our SSRC as their source */
    uint32_t reference_middle; /* of the sender's receiver reference time; 0: none */
    uint32_t last_reference;  /* LRR and its delay, 1/65536 s: used like LSR and DLSR */
    uint32_t delay_reference;
    uint32_t byes[OT_BYES_MAX];
    ot_voip_metrics metrics;
    uint8_t cname[OT_CNAME_MAX]; /* octets of the wire: UTF-8 is promised, nothing is sure */
} ot_rtcp;

/* Reads a compound packet as far as it concerns `ssrc`, ours; EBADMSG when any part lies. */
int ot_rtcp_parse(ot_rtcp *report, const uint8_t *data, size_t octets, uint32_t ssrc);
int ot_rtcp_says_bye(const ot_rtcp *report, uint32_t ssrc);

/* What a report says; blocks about the far end are written when remote_ssrc_known. */
typedef struct {
    uint32_t ssrc;
    uint64_t ntp; /* of this report, 32.32 */
    uint32_t timestamp;
    uint32_t packets_sent;
    uint32_t octets_sent;
    uint32_t remote_ssrc;
    uint32_t highest_sequence;
    uint32_t jitter;
    int32_t packets_lost;
    uint32_t last_report;
    uint32_t delay_since;
    uint8_t fraction_lost;
    uint8_t sender;            /* SR, else RR */
    uint8_t remote_ssrc_known;
    uint8_t bye;
    uint8_t reference;         /* tell our time, so that one who only receives learns the delay */
    uint32_t last_reference;   /* reference_middle that the far end told; 0: nothing to answer */
    uint32_t delay_reference;  /* since then, 1/65536 s */
    const ot_voip_metrics *metrics; /* NULL: none */
    const char *cname;         /* OT_CNAME_OCTETS long */
} ot_report;

size_t ot_rtcp_write(uint8_t *data, const ot_report *report); /* at most OT_RTCP_MAX */

/* RFC 3550 section 8.2: someone uses the SSRC that we chose. */
typedef enum {
    OT_SOURCE_OTHER = 0,   /* not ours: take the packet */
    OT_SOURCE_COLLIDES = 1, /* say BYE for the old SSRC, choose another, take the packet */
    OT_SOURCE_LOOPS = 2    /* it followed us to a new SSRC: our own packets come back */
} ot_collision_kind;

typedef struct {
    uint64_t seen_tick; /* when the far end last used an SSRC of ours */
    uint8_t seen;
} ot_collision;

/* Judges the source of a packet from the far end; `ours` is the SSRC now in use. */
int ot_collision_judge(ot_collision *collision, uint32_t ours, uint32_t source, uint64_t tick);

/* cdef: end */

#endif
