/* Watches the tick: what it calls besides socket I/O is a fault.  See purity.c. */
#ifndef PURITY_H
#define PURITY_H

#include <stdint.h>

#include "engine.h"

/* From here on this thread's system calls are watched too; not to be undone. */
int watch_system_calls(void);

/* One tick by hand, under watch. */
void watched_step(ot_engine *engine);

/* Everything an engine can do, in scenes; `step` lets one tick pass.  See workload.c. */
void workload(ot_engine *engine, void (*step)(ot_engine *engine));

#endif
