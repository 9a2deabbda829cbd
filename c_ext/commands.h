/* The tick's side of the control functions, by what they are about. */
#ifndef OT_COMMANDS_H
#define OT_COMMANDS_H

#include "state.h"

void ot_list_add(ot_active *list, uint32_t slot);
void ot_list_remove(ot_active *list, uint32_t slot);

/* leg_commands.c */
void ot_leg_command(ot_engine *engine, const ot_command *command);
void ot_leg_finish(ot_engine *engine, uint32_t slot);

/* device_commands.c */
void ot_device_command(ot_engine *engine, const ot_command *command);
void ot_device_finish(ot_engine *engine, uint32_t slot);

/* source_commands.c */
void ot_source_command(ot_engine *engine, const ot_command *command);
void ot_source_finish(ot_engine *engine, uint32_t slot);

/* bus_commands.c */
void ot_bus_command(ot_engine *engine, const ot_command *command);
void ot_port_begin(ot_engine *engine, uint32_t port, uint32_t rate);
void ot_port_leave_all(ot_engine *engine, uint32_t port); /* fades out of every bus */
void ot_port_end(ot_engine *engine, uint32_t port);       /* is on no bus from now on */
void ot_port_convert(ot_engine *engine, uint32_t port, ot_conversion *conversion);

/* recording_commands.c */
void ot_recording_command(ot_engine *engine, const ot_command *command);
void ot_recording_untap_all(ot_engine *engine, uint32_t bus);

#endif
