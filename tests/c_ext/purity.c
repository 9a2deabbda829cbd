/* Proves that the tick calls nothing but socket I/O.
 *
 * Production code has no hook for this.  The watch knows when a tick runs from what the engine
 * calls anyway: by hand, ot_engine_step holds the engine's lock exactly while it ticks; the
 * engine's own thread ticks from one clock_nanosleep to the next.  Two nets are spread:
 *   - functions of the C library defined here come before the library's own, for the engine and
 *     for the libraries that it uses: memory, locks, output;
 *   - a seccomp filter on the ticking thread lets socket I/O through and sends every other system
 *     call to a signal handler, which notes it and then makes the call.
 *
 * Prints what it saw and exits with 0; with 1 after faults; with 77 where seccomp is not to be had.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "purity.h"
#include "shield.h"

enum { FAULTS_MAX = 32, FRAMES = 12, IMPURE = 1, UNAVAILABLE = 77 };

typedef struct {
    const char *what; /* NULL: a system call */
    long number;
    int depth;
    void *frames[FRAMES];
} fault;

typedef struct {
    fault faults[FAULTS_MAX];
    uint32_t count;  /* may exceed FAULTS_MAX */
    uint64_t ticks;
    uint64_t socket_calls;
    uint64_t socket_calls_most; /* in one tick */
} record;

static _Thread_local int inside;      /* a tick is running on this thread */
static _Thread_local int gate_armed;  /* the next lock is the engine's, and a tick follows it */
static _Thread_local int is_engine;
static _Thread_local int is_filtered;
static _Thread_local pthread_mutex_t *gate;
static _Thread_local uint32_t calls_now;
static _Thread_local record pending; /* of the tick that runs: counts when it has ended */

static record seen; /* of one phase */

/* -- noting ---------------------------------------------------------------------------------- */

static void note(const char *what, long number)
{
    if (!inside)
        return;
    inside = 0; /* the watch itself may do as it likes */
    if (pending.count < FAULTS_MAX) {
        fault *found = &pending.faults[pending.count];
        found->what = what;
        found->number = number;
        found->depth = backtrace(found->frames, FRAMES);
    }
    pending.count++;
    inside = 1;
}

static void tick_begins(void)
{
    pending.count = 0;
    calls_now = 0;
    inside = 1;
}

static void tick_ends(void)
{
    inside = 0;
    for (uint32_t i = 0; i < pending.count && i < FAULTS_MAX; i++)
        if (seen.count + i < FAULTS_MAX)
            seen.faults[seen.count + i] = pending.faults[i];
    seen.count += pending.count;
    pending.count = 0;
    seen.ticks++;
    seen.socket_calls += calls_now;
    if (calls_now > seen.socket_calls_most)
        seen.socket_calls_most = calls_now;
}

/* The C library's own function of a name. */
static void *beyond(const char *name)
{
    int was_inside = inside;

    inside = 0;
    void *found = dlsym(RTLD_NEXT, name);
    inside = was_inside;
    if (found == NULL)
        abort();
    return found;
}

#define REAL(result, name, parameters)                                                            \
    static result (*real) parameters;                                                             \
    if (real == NULL)                                                                             \
    real = (result(*) parameters)(uintptr_t)beyond(#name)

#define WATCHED(result, name, parameters, arguments)                                              \
    result name parameters                                                                        \
    {                                                                                             \
        REAL(result, name, parameters);                                                           \
        note(#name, 0);                                                                           \
        return real arguments;                                                                    \
    }

#define COUNTED(result, name, parameters, arguments)                                              \
    result name parameters                                                                        \
    {                                                                                             \
        REAL(result, name, parameters);                                                           \
        calls_now++;                                                                              \
        return real arguments;                                                                    \
    }

/* -- memory ---------------------------------------------------------------------------------- */

/* dlsym allocates, so these are reached by their other names. */
void *__libc_malloc(size_t octets);
void *__libc_calloc(size_t count, size_t octets);
void *__libc_realloc(void *memory, size_t octets);
void *__libc_memalign(size_t alignment, size_t octets);
void __libc_free(void *memory);

void *malloc(size_t octets)
{
    note("malloc", 0);
    return __libc_malloc(octets);
}

void *calloc(size_t count, size_t octets)
{
    note("calloc", 0);
    return __libc_calloc(count, octets);
}

void *realloc(void *memory, size_t octets)
{
    note("realloc", 0);
    return __libc_realloc(memory, octets);
}

void free(void *memory)
{
    note("free", 0);
    __libc_free(memory);
}

void *memalign(size_t alignment, size_t octets)
{
    note("memalign", 0);
    return __libc_memalign(alignment, octets);
}

void *aligned_alloc(size_t alignment, size_t octets)
{
    note("aligned_alloc", 0);
    return __libc_memalign(alignment, octets);
}

int posix_memalign(void **memory, size_t alignment, size_t octets)
{
    note("posix_memalign", 0);
    *memory = __libc_memalign(alignment, octets);
    return *memory ? 0 : ENOMEM;
}

WATCHED(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t from),
        (at, n, prot, flags, fd, from))
WATCHED(int, munmap, (void *at, size_t n), (at, n))
WATCHED(int, madvise, (void *at, size_t n, int advice), (at, n, advice))
WATCHED(void *, sbrk, (intptr_t by), (by))

/* -- locks ----------------------------------------------------------------------------------- */

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    REAL(int, pthread_mutex_lock, (pthread_mutex_t *));
    note("pthread_mutex_lock", 0);
    int error = real(mutex);
    if (gate_armed) {
        gate_armed = 0;
        gate = mutex;
        tick_begins();
    }
    return error;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    REAL(int, pthread_mutex_unlock, (pthread_mutex_t *));
    if (mutex == gate) {
        gate = NULL;
        tick_ends();
    }
    note("pthread_mutex_unlock", 0);
    return real(mutex);
}

WATCHED(int, pthread_mutex_trylock, (pthread_mutex_t * lock), (lock))
WATCHED(int, pthread_mutex_timedlock, (pthread_mutex_t * lock, const struct timespec *until),
        (lock, until))
WATCHED(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
WATCHED(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
WATCHED(int, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
WATCHED(int, pthread_spin_lock, (pthread_spinlock_t * lock), (lock))
WATCHED(int, pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t *lock),
        (condition, lock))
WATCHED(int, pthread_cond_signal, (pthread_cond_t * condition), (condition))
WATCHED(int, pthread_cond_broadcast, (pthread_cond_t * condition), (condition))
WATCHED(int, sem_wait, (sem_t * semaphore), (semaphore))
WATCHED(int, sem_post, (sem_t * semaphore), (semaphore))
WATCHED(int, pthread_once, (pthread_once_t * once, void (*run)(void)), (once, run))

/* -- output ---------------------------------------------------------------------------------- */

WATCHED(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
WATCHED(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WATCHED(int, vfprintf, (FILE * file, const char *format, va_list values), (file, format, values))
WATCHED(size_t, fwrite, (const void *data, size_t size, size_t count, FILE *file),
        (data, size, count, file))
WATCHED(int, fputs, (const char *text, FILE *file), (text, file))
WATCHED(int, puts, (const char *text), (text))
WATCHED(int, putchar, (int letter), (letter))
WATCHED(int, fflush, (FILE * file), (file))
WATCHED(void, perror, (const char *text), (text))
WATCHED(void, vsyslog, (int priority, const char *format, va_list values),
        (priority, format, values))

int printf(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    int octets = vfprintf(stdout, format, values);
    va_end(values);
    return octets;
}

int fprintf(FILE *file, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    int octets = vfprintf(file, format, values);
    va_end(values);
    return octets;
}

void syslog(int priority, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsyslog(priority, format, values);
    va_end(values);
}

/* -- what is allowed -------------------------------------------------------------------------- */

COUNTED(ssize_t, recv, (int fd, void *data, size_t n, int flags), (fd, data, n, flags))
COUNTED(ssize_t, recvfrom,
        (int fd, void *restrict data, size_t n, int flags, struct sockaddr *restrict from,
         socklen_t *restrict m),
        (fd, data, n, flags, from, m))
COUNTED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
COUNTED(ssize_t, send, (int fd, const void *data, size_t n, int flags), (fd, data, n, flags))
COUNTED(ssize_t, sendto,
        (int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t m),
        (fd, data, n, flags, to, m))
COUNTED(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
COUNTED(int, epoll_wait, (int epoll, struct epoll_event *events, int room, int timeout),
        (epoll, events, room, timeout))

static const int ALLOWED[] = {
    SYS_recvfrom,      SYS_recvmsg, SYS_recvmmsg, SYS_sendto, SYS_sendmsg, SYS_sendmmsg,
    SYS_epoll_pwait,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_clock_gettime, /* where the vDSO cannot answer */
    SYS_rt_sigreturn,  /* the handler's own */
};

/* -- system calls ---------------------------------------------------------------------------- */

/* The one place from which the filter lets everything pass. */
long passage(long number, const long *arguments);
extern const char passage_end[];

#if defined(__x86_64__)
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
__asm__(".globl passage\npassage:\n"
        "mov %rdi, %rax\nmov %rsi, %r11\n"
        "mov 0(%r11), %rdi\nmov 8(%r11), %rsi\nmov 16(%r11), %rdx\n"
        "mov 24(%r11), %r10\nmov 32(%r11), %r8\nmov 40(%r11), %r9\n"
        "syscall\n"
        ".globl passage_end\npassage_end:\nret\n");
#elif defined(__aarch64__)
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
__asm__(".globl passage\npassage:\n"
        "mov x8, x0\nmov x9, x1\n"
        "ldp x0, x1, [x9]\nldp x2, x3, [x9, #16]\nldp x4, x5, [x9, #32]\n"
        "svc #0\n"
        ".globl passage_end\npassage_end:\nret\n");
#else
#error "teach purity.c how this processor calls its kernel"
#endif

static void on_system_call(int signal, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    int error = errno;
    (void)signal;

    note(NULL, info->si_syscall);
#if defined(__x86_64__)
    greg_t *r = machine->gregs;
    const long arguments[] = {r[REG_RDI], r[REG_RSI], r[REG_RDX],
                              r[REG_R10], r[REG_R8],  r[REG_R9]};
    r[REG_RAX] = passage(info->si_syscall, arguments);
#else
    long arguments[6];
    memcpy(arguments, machine->regs, sizeof(arguments));
    machine->regs[0] = (unsigned long long)passage(info->si_syscall, arguments);
#endif
    errno = error;
}

#define LOAD(field)                                                                               \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field)                                                                          \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field) + 4)
#define EQUAL(value, then, otherwise)                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), then, otherwise)
#define END(action) BPF_STMT(BPF_RET | BPF_K, action)

static uint32_t write_filter(struct sock_filter *at)
{
    uintptr_t pass = (uintptr_t)passage_end;
    struct sock_filter *first = at;

    *at++ = (struct sock_filter)LOAD(arch);
    *at++ = (struct sock_filter)EQUAL(ARCHITECTURE, 1, 0);
    *at++ = (struct sock_filter)END(SECCOMP_RET_KILL_PROCESS);
    *at++ = (struct sock_filter)LOAD(nr);
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(*ALLOWED); i++) {
        *at++ = (struct sock_filter)EQUAL(ALLOWED[i], 0, 1);
        *at++ = (struct sock_filter)END(SECCOMP_RET_ALLOW);
    }
    *at++ = (struct sock_filter)LOAD(instruction_pointer);
    *at++ = (struct sock_filter)EQUAL(pass, 0, 3);
    *at++ = (struct sock_filter)LOAD_HIGH(instruction_pointer);
    *at++ = (struct sock_filter)EQUAL(pass >> 32, 0, 1);
    *at++ = (struct sock_filter)END(SECCOMP_RET_ALLOW);
    *at++ = (struct sock_filter)END(SECCOMP_RET_TRAP);
    return (uint32_t)(at - first);
}

int watch_system_calls(void)
{
    struct sock_filter filter[64];
    struct sock_fprog program = {(unsigned short)write_filter(filter), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    is_filtered = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    return is_filtered ? 0 : errno;
}

static void answer_system_calls(void)
{
    struct sigaction action = {.sa_sigaction = on_system_call, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigaction(SIGSYS, &action, NULL);
}

/* -- when a tick runs ------------------------------------------------------------------------ */

void watched_step(ot_engine *engine)
{
    gate_armed = 1;
    if (ot_engine_step(engine, 1) != 0)
        abort();
}

/* By hand, the step also does what the shield's thread would: that is no part of the tick.  The
 * linker puts this function in the place of the shield's (--wrap). */
int __real_ot_shield_step(ot_shield *shield);
int __wrap_ot_shield_step(ot_shield *shield);
int __wrap_ot_shield_step(ot_shield *shield)
{
    int was_inside = inside;

    inside = 0;
    int error = __real_ot_shield_step(shield);
    inside = was_inside;
    return error;
}

/* A thread that blocks SIGSYS would be killed by its first trapped call. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    REAL(int, pthread_sigmask, (int, const sigset_t *, sigset_t *));
    sigset_t without;

    note("pthread_sigmask", 0);
    if (set == NULL || how == SIG_UNBLOCK)
        return real(how, set, before);
    without = *set;
    sigdelset(&without, SIGSYS);
    return real(how, &without, before);
}

int pthread_setname_np(pthread_t thread, const char *name)
{
    REAL(int, pthread_setname_np, (pthread_t, const char *));
    is_engine = pthread_equal(thread, pthread_self()) && strcmp(name, "ot-engine") == 0;
    note("pthread_setname_np", 0);
    return real(thread, name);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    REAL(int, clock_nanosleep,
         (clockid_t, int, const struct timespec *, struct timespec *));

    if (!is_engine) {
        note("clock_nanosleep", 0);
        return real(clock, flags, time, left);
    }
    if (inside)
        tick_ends();
    if (!is_filtered && watch_system_calls() != 0)
        exit(UNAVAILABLE);
    int error = real(clock, flags, time, left);
    tick_begins();
    return error;
}

/* -- the phases ------------------------------------------------------------------------------ */

static void print_frame(void *address)
{
    Dl_info where = {0};

    dladdr(address, &where);
    const char *file = where.dli_fname ? strrchr(where.dli_fname, '/') : NULL;
    printf("    %s (%s+%#zx)\n", where.dli_sname ? where.dli_sname : "?", file ? file + 1 : "?",
           (size_t)((char *)address - (char *)where.dli_fbase));
}

static void print_fault(const fault *found)
{
    if (found->what)
        printf("  fault: %s\n", found->what);
    else
        printf("  fault: system call %ld\n", found->number);
    for (int i = 1; i < found->depth; i++)
        print_frame(found->frames[i]);
}

static int report(const char *phase)
{
    printf("%s: %llu ticks, %llu socket calls, at most %llu in one tick, %u faults\n", phase,
           (unsigned long long)seen.ticks, (unsigned long long)seen.socket_calls,
           (unsigned long long)seen.socket_calls_most, seen.count);
    for (uint32_t i = 0; i < seen.count && i < FAULTS_MAX; i++)
        print_fault(&seen.faults[i]);
    int result = seen.count || seen.ticks == 0 ? IMPURE : 0;
    memset(&seen, 0, sizeof(seen));
    return result;
}

static ot_engine *new_engine(void)
{
    ot_engine *engine;

    if (ot_engine_create(&engine) != 0)
        abort();
    return engine;
}

static void *step_by_hand(void *unavailable)
{
    ot_engine *engine = new_engine();

    if (watch_system_calls() != 0) {
        *(int *)unavailable = 1;
        return NULL;
    }
    workload(engine, watched_step);
    ot_engine_destroy(engine);
    return NULL;
}

static void wait_a_tick(ot_engine *engine)
{
    struct timespec tick = {0, OT_TICK_MS * 1000000};
    (void)engine;

    nanosleep(&tick, NULL);
}

static void run_thread(void)
{
    ot_engine *engine = new_engine();

    if (ot_engine_start(engine, 0) != 0)
        abort();
    workload(engine, wait_a_tick);
    ot_engine_stop(engine);
    ot_engine_destroy(engine);
}

int main(void)
{
    pthread_t hand;
    void *frames[1];
    int unavailable = 0;

    backtrace(frames, 1); /* loads what it needs, once */
    answer_system_calls();
    pthread_create(&hand, NULL, step_by_hand, &unavailable);
    pthread_join(hand, NULL);
    if (unavailable) {
        fprintf(stderr, "seccomp is not available\n");
        return UNAVAILABLE;
    }
    int result = report("by hand");
    run_thread();
    return result | report("thread");
}
