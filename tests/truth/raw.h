/* System calls without a C library: nothing is called that is not written out, so that the number
 * of calls of a program is known from its text. One program, one file that includes this; it
 * defines `run`, which gets what the kernel puts on the first stack. */
#include <asm/unistd.h>

typedef unsigned long word;

#if defined(__x86_64__)
static word call(word number, word a, word b, word c, word d, word e)
{
    word result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

/* A new task that runs `body(argument)` on a stack of its own and never returns from it. With
 * CLONE_CHILD_CLEARTID, `ended` is made zero when it has ended. */
static long task(word flags, char *stack_top, void (*body)(word), word argument,
                 volatile int *ended)
{
    long result;
    register word r10 __asm__("r10") = (word)ended;
    word *stack = (word *)((word)stack_top & ~15ul);
    *--stack = argument;
    *--stack = (word)body;
    __asm__ volatile("xor %%r8d, %%r8d\n\t"
                     "xor %%edx, %%edx\n\t"
                     "syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "pop %%rax\n\t"
                     "pop %%rdi\n\t"
                     "call *%%rax\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(__NR_clone), "D"(flags), "S"(stack), "r"(r10)
                     : "rcx", "r11", "rdx", "r8", "memory");
    return result;
}

/* The child of vfork(2) may not return, nor use the stack. */
static long vfork_and_execute(char *file, char **words, char **environment)
{
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %3, %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(__NR_vfork), "D"(file), "i"(__NR_execve), "S"(words), "d"(environment)
                     : "rcx", "r11", "memory");
    return result;
}

#define RELAX() __asm__ volatile("pause")

__asm__(".globl _start\n"
        "_start: xor %ebp, %ebp\n"
        "mov %rsp, %rdi\n"
        "and $-16, %rsp\n"
        "call run\n"
        "ud2\n");

/* What a handler returns to (sigaction(2), SA_RESTORER). */
__asm__(".globl restore\n"
        "restore: mov $15, %eax\n" /* rt_sigreturn */
        "syscall\n");
#else
#error "the storms are written for x86_64"
#endif

void restore(void);
void run(word *stack);

#define CALL0(n) call(__NR_##n, 0, 0, 0, 0, 0)
#define CALL1(n, a) call(__NR_##n, (word)(a), 0, 0, 0, 0)
#define CALL2(n, a, b) call(__NR_##n, (word)(a), (word)(b), 0, 0, 0)
#define CALL3(n, a, b, c) call(__NR_##n, (word)(a), (word)(b), (word)(c), 0, 0)
#define CALL4(n, a, b, c, d) call(__NR_##n, (word)(a), (word)(b), (word)(c), (word)(d), 0)

#define AT_FDCWD (-100l)
#define O_RDONLY 0
#define O_WRONLY 1
#define O_CREAT 0100
#define O_CLOEXEC 02000000
#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000
#define CLONE_SYSVSEM 0x40000
#define CLONE_CHILD_CLEARTID 0x200000
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM \
                | CLONE_CHILD_CLEARTID)
#define SIGKILL 9
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGRTMIN 34
#define SA_RESTORER 0x04000000
#define WUNTRACED 2
#define BIT(signal) (1ul << ((signal) - 1))

struct action {
    void (*handler)(int);
    word flags;
    void (*restorer)(void);
    word mask;
};

/* More than any storm has threads. */
#define MOST 16
#define STACK 16384
static char stacks[MOST][STACK] __attribute__((aligned(16)));
static char second_stacks[MOST][STACK] __attribute__((aligned(16)));

/* A failure is a death that the learner reports: ud2. */
static void must(int holds)
{
    if (!holds)
        __builtin_trap();
}

static word number(const char *text)
{
    word value = 0;
    while (*text)
        value = value * 10 + (word)(*text++ - '0');
    return value;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Threads tell their end through this pipe, a byte each: joining by futex would take a number of
 * calls that depends on time. */
static int ends[2];
static volatile int running[MOST];

static void finish(void)
{
    must(CALL3(write, ends[1], "x", 1) == 1);
    CALL1(exit, 0);
}

static void begin(word thread, void (*body)(word))
{
    must(thread < MOST);
    running[thread] = 1;
    must(task(THREAD, stacks[thread] + STACK, body, thread, &running[thread]) > 0);
}

/* A read for each of them; then the last call of each has been made, too. */
static void join(word many)
{
    word i;
    char byte;
    for (i = 0; i < many; i++)
        must(CALL3(read, ends[0], &byte, 1) == 1);
    for (i = 0; i < many; i++)
        while (running[i])
            RELAX();
}

/* One pipe2, then a clone for each of them, and a read for each of them. */
static void threads(word many, void (*body)(word))
{
    word i;
    must(CALL2(pipe2, ends, 0) == 0);
    for (i = 0; i < many; i++)
        begin(i, body);
    join(many);
}

/* Signals that would interrupt a call wait. SIGCHLD too: where a tracer is, even an ignored one
 * interrupts, and the call that is made again is one more. */
static void block_signals(void)
{
    word mask = BIT(SIGTERM) | BIT(SIGCHLD);
    must(CALL4(rt_sigprocmask, 0, &mask, 0, 8) == 0);
}

/* Says that everything is done, and ends when it is asked to: openat, close, rt_sigtimedwait,
 * exit_group. */
static void serve(const char *ready)
{
    word mask = BIT(SIGTERM);
    long file = (long)CALL4(openat, AT_FDCWD, ready, O_WRONLY | O_CREAT, 0600);
    must(file >= 0);
    must(CALL1(close, file) == 0);
    must(CALL4(rt_sigtimedwait, &mask, 0, 0, 8) == SIGTERM);
    CALL1(exit_group, 0);
}
