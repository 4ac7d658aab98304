/* counter: what a program costs, counted exactly, so that a test can hold it where wall time is noise.
 *
 *   counter instructions OUT COMMAND...
 *   counter syscalls OUT COMMAND...
 *
 * Runs COMMAND and counts between a SIGUSR1 and the next SIGUSR2 that reach it (both are swallowed).  Each such window
 * becomes one line of JSON in OUT: a count by mapped file ("instructions", of the thread that got the signal), or by
 * system call number ("syscalls", of all threads).  Ends with COMMAND's exit status.
 *
 * Instructions are counted by single steps, without the help of the CPU's counters, which virtual machines hide; a
 * repeated string instruction counts once an iteration.  Addresses are not randomised, so that a run repeats.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ptrace.h>

enum { MAPS_MAX = 4096, SYSCALLS_MAX = 512, PATH_BYTES = 1024 };

typedef struct { uint64_t start, end, count; char path[PATH_BYTES]; } Map;

static Map maps[MAPS_MAX];
static int maps_count;
static uint64_t elsewhere, calls[SYSCALLS_MAX];
static FILE *out;

static void die(const char *what) {
    fprintf(stderr, "counter: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* The executable ranges of the process's files. */
static void read_maps(pid_t pid) {
    char name[64], line[PATH_BYTES + 128];
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    FILE *f = fopen(name, "r");
    if (!f) die(name);
    maps_count = 0;
    elsewhere = 0;
    while (maps_count < MAPS_MAX && fgets(line, sizeof line, f)) {
        Map *m = &maps[maps_count];
        char rights[8];
        m->path[0] = 0;
        m->count = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %1023s", &m->start, &m->end, rights, m->path) < 3) continue;
        if (rights[2] == 'x') maps_count++;
    }
    fclose(f);
}

static void count_at(uint64_t rip) {
    static Map *last = maps;
    if (rip < last->start || rip >= last->end) {
        for (int i = 0; i < maps_count; i++)
            if (rip >= maps[i].start && rip < maps[i].end) { last = &maps[i]; last->count++; return; }
        elsewhere++;
        return;
    }
    last->count++;
}

static void write_instructions(void) {
    fprintf(out, "{\"\": %" PRIu64, elsewhere);
    for (int i = 0; i < maps_count; i++) {
        bool seen = false;
        uint64_t sum = 0;
        for (int j = 0; j < maps_count; j++)
            if (!strcmp(maps[i].path, maps[j].path)) { seen |= j < i; sum += maps[j].count; }
        if (!seen && sum && maps[i].path[0]) fprintf(out, ", \"%s\": %" PRIu64, maps[i].path, sum);
    }
    fprintf(out, "}\n");
    fflush(out);
}

static void write_syscalls(void) {
    const char *comma = "";
    fprintf(out, "{");
    for (int i = 0; i < SYSCALLS_MAX; i++)
        if (calls[i]) { fprintf(out, "%s\"%d\": %" PRIu64, comma, i, calls[i]); comma = ", "; }
    fprintf(out, "}\n");
    fflush(out);
}

/* Waits for the process's next stop; ends with it when it ends.  The signal that it stopped for. */
static int stopped(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) < 0) die("waitpid");
    if (WIFEXITED(status)) exit(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) exit(128 + WTERMSIG(status));
    return WSTOPSIG(status);
}

static void count_instructions(pid_t pid) {
    for (int sig = 0;;) {
        if (ptrace(PTRACE_CONT, pid, 0, sig)) die("PTRACE_CONT");
        sig = stopped(pid);
        if (sig == SIGTRAP) sig = 0;
        if (sig != SIGUSR1) continue;
        read_maps(pid);
        for (sig = 0;;) {
            errno = 0;
            long rip = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 0);
            if (errno) die("PTRACE_PEEKUSER");
            count_at((uint64_t)rip);
            if (ptrace(PTRACE_SINGLESTEP, pid, 0, sig)) die("PTRACE_SINGLESTEP");
            sig = stopped(pid);
            if (sig == SIGTRAP) sig = 0;
            if (sig == SIGUSR2) break;
        }
        sig = 0;
        write_instructions();
    }
}

static void count_syscalls(pid_t pid) {
    bool counting = false;
    if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) die("PTRACE_SETOPTIONS");
    if (ptrace(PTRACE_SYSCALL, pid, 0, 0)) die("PTRACE_SYSCALL");
    for (;;) {
        int status, sig;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0) die("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == pid) exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            continue;
        }
        sig = WSTOPSIG(status);
        if (sig == (SIGTRAP | 0x80)) {
            struct ptrace_syscall_info info;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0) die("PTRACE_GET_SYSCALL_INFO");
            if (counting && info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr < SYSCALLS_MAX) calls[info.entry.nr]++;
            sig = 0;
        } else if (sig == SIGUSR1) {
            memset(calls, 0, sizeof calls);
            counting = true;
            sig = 0;
        } else if (sig == SIGUSR2) {
            counting = false;
            write_syscalls();
            sig = 0;
        } else if (sig == SIGTRAP || sig == SIGSTOP) sig = 0;  /* a new thread, and its first stop */
        if (ptrace(PTRACE_SYSCALL, thread, 0, sig) && errno != ESRCH) die("PTRACE_SYSCALL");
    }
}

int main(int argc, char **argv) {
    if (argc < 4 || (strcmp(argv[1], "instructions") && strcmp(argv[1], "syscalls"))) {
        fprintf(stderr, "usage: counter instructions|syscalls OUT COMMAND...\n");
        return 2;
    }
    if (!(out = fopen(argv[2], "we"))) die(argv[2]);
    if (!strcmp(argv[1], "instructions")) {
        /* Both on one CPU: a step is then a plain switch between the two, and takes a tenth of the time. */
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
        personality(ADDR_NO_RANDOMIZE);
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) die("PTRACE_TRACEME");
        execvp(argv[3], argv + 3);
        die(argv[3]);
    }
    stopped(pid);
    if (!strcmp(argv[1], "syscalls")) count_syscalls(pid);
    if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL)) die("PTRACE_SETOPTIONS");
    count_instructions(pid);
}
