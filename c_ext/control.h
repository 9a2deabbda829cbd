/* What the control functions share: the lock, the way to the tick and back. */
#ifndef OT_CONTROL_H
#define OT_CONTROL_H

#include "state.h"

void ot_lock(ot_engine *engine);
int ot_unlock(ot_engine *engine, int error); /* returns the error */
/* A burst of commands waits for the tick to take some; EAGAIN when no tick comes. */
int ot_hand_over(ot_engine *engine, const ot_command *command);
int ot_hand_over_plain(ot_engine *engine, ot_command_kind kind, uint16_t slot, uint16_t other);
int ot_hand_over_close(ot_engine *engine, uint8_t *open, ot_command_kind kind, uint16_t slot);
int ot_bind_pair(ot_engine *engine, int *rtp, int *rtcp, const char *address, uint16_t port);
int ot_watch(const ot_engine *engine, int fd, ot_event_kind kind, uint32_t index);
void ot_unwatch(const ot_engine *engine, int fd);
/* Copies statistics as they stood between two ticks; EAGAIN when a tick will not end. */
int ot_read_words(ot_engine *engine, void *to, const void *from, size_t octets);
void ot_copy_words(void *to, const void *from, size_t octets);
int ot_seed_stream(ot_stream *stream);

/* NULL: no such codec, or its packets would not be 10, 20 or 30 ms or not fit. */
const ot_codec_traits *ot_codec_for(int codec, uint32_t ptime_ms, uint32_t channels);
int ot_is_rate(uint32_t rate_hz);

/* bus_control.c */
void ot_port_opened(ot_engine *engine, uint32_t port, uint32_t rate);
int ot_port_is_open(const ot_engine *engine, uint32_t port);
int ot_ports_of(const ot_engine *engine, ot_ports *set, const uint32_t *ports, uint32_t count);
int ot_conversion_make(ot_conversion **conversion, uint32_t rate);
void ot_conversion_free(ot_conversion *conversion);
int ot_rates_make(ot_rate *rates[OT_RATES], uint32_t rate, int towards);

/* leg_control.c */
void ot_leg_parts_free(ot_leg_parts *parts);

/* device_control.c */
void ot_device_reaped(ot_engine *engine, uint32_t slot);

/* recording_control.c */
void ot_recording_reaped(ot_engine *engine, uint32_t slot);

#endif
