
/*
 * The probe's seccomp filter: system calls that open, create, connect, execute
 * or reach another process fail with EPERM.  A list of what is forbidden, not
 * of what is allowed: libraries change their harmless calls with every release,
 * and the dangerous ones below are what "no network, no write path" means.
 * The rest of the fence is user, limits and PR_SET_NO_NEW_PRIVS.
 */


#include "worker_probe.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>


#if defined(__x86_64__)
#define WORKER_ARCH  AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define WORKER_ARCH  AUDIT_ARCH_AARCH64
#endif

#define WORKER_X32   0x40000000u

#define worker_deny(nr)                                                       \
    BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, (nr), 0, 1),                              \
    BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|EPERM)


#if defined(WORKER_ARCH)

int
worker_probe_confine(void)
{
    static struct sock_filter  rules[] = {

        /* another architecture's numbers mean other calls */

        BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, WORKER_ARCH, 1, 0),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_KILL_PROCESS),

        BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP|BPF_JGE|BPF_K, WORKER_X32, 0, 1),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_KILL_PROCESS),

#if defined(SYS_open)
        worker_deny(SYS_open),
        worker_deny(SYS_creat),
        worker_deny(SYS_unlink),
        worker_deny(SYS_rename),
        worker_deny(SYS_link),
        worker_deny(SYS_symlink),
        worker_deny(SYS_mkdir),
        worker_deny(SYS_chmod),
        worker_deny(SYS_chown),
        worker_deny(SYS_fork),
        worker_deny(SYS_vfork),
#endif
        worker_deny(SYS_openat),
#if defined(SYS_openat2)
        worker_deny(SYS_openat2),
#endif
        worker_deny(SYS_open_by_handle_at),
        worker_deny(SYS_unlinkat),
        worker_deny(SYS_renameat2),
        worker_deny(SYS_linkat),
        worker_deny(SYS_symlinkat),
        worker_deny(SYS_mkdirat),
        worker_deny(SYS_mknodat),
        worker_deny(SYS_truncate),
        worker_deny(SYS_fchmodat),
        worker_deny(SYS_fchownat),
        worker_deny(SYS_execve),
        worker_deny(SYS_execveat),
        worker_deny(SYS_socket),
        worker_deny(SYS_socketpair),
        worker_deny(SYS_connect),
        worker_deny(SYS_bind),
        worker_deny(SYS_listen),
        worker_deny(SYS_ptrace),
        worker_deny(SYS_process_vm_readv),
        worker_deny(SYS_process_vm_writev),
        worker_deny(SYS_pidfd_open),
        worker_deny(SYS_kill),
        worker_deny(SYS_tkill),
        worker_deny(SYS_mount),
        worker_deny(SYS_unshare),
        worker_deny(SYS_setns),
        worker_deny(SYS_bpf),
        worker_deny(SYS_keyctl),
        worker_deny(SYS_userfaultfd),
        worker_deny(SYS_perf_event_open),
#if defined(SYS_io_uring_setup)
        worker_deny(SYS_io_uring_setup),
#endif

        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW),
    };

    static struct sock_fprog  program = {
        .len = sizeof(rules) / sizeof(rules[0]),
        .filter = rules,
    };

    /* a kernel without seccomp: the other limits stand */

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == -1
        && errno != EINVAL)
    {
        return -1;
    }

    return 0;
}

#else

int
worker_probe_confine(void)
{
    return 0;
}

#endif
