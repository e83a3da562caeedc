"""A filter of system calls for the process that reads strangers' files: no network, no other programs, no other processes.

Reading a file needs memory, files and threads and nothing else, so the rest is refused with "operation not permitted" (EPERM). The
filter is a program of the kernel's packet-filter language, put together here; it holds for all threads, cannot be taken off, and
costs under a millisecond. It hides no files: :mod:`ntkviz.models.bubblewrap` does.

Standard library only: :mod:`ntkviz.models.sandbox_entry` runs this file by path, before anything of the project is imported.
"""

import ctypes
import errno
import os
import struct
import sys

#: Refused whatever the arguments: name -> number on (x86_64, aarch64); None where the machine has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # network
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "bind": (49, 200), "listen": (50, 201),
    "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # other programs and processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    # another view of the system
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "mknod": (133, None), "mknodat": (259, 33),
    # large parts of the kernel that no reader needs
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # the machine itself
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "syslog": (103, 116), "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None),
}  # fmt: skip

#: Allowed when the first argument names this very process (0 counts for prlimit64), for a crash has to be reported.
_ON_ITSELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
#: Starting a thread is allowed, starting a process is not; the arguments of clone3 cannot be looked at, so it is said to be unknown.
_CLONE, _CLONE3 = (56, 220), 435
_CLONE_THREAD = 0x00010000

#: Name of the machine -> its mark in the filter's data, and its column above.
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: Calls of the 32-bit kind on x86_64 have this bit; they would go round the numbers above.
_X32 = 0x40000000

# Instructions of the filter's language: load a word, compare and jump, return.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
#: Places in the data that a filter sees: number of the call, machine, lower half of the first argument (both machines are little-endian).
NUMBER, MACHINE, ARGUMENT = 0, 4, 16
ALLOW, KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
DENY = _ERROR | errno.EPERM
UNKNOWN = _ERROR | errno.ENOSYS

_PR_SET_NO_NEW_PRIVS, _SET_MODE_FILTER, _FOR_ALL_THREADS = 38, 1, 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}

#: code, jump if true, jump if false, value
Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    """What the kernel is handed: the number of instructions and where they are."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def unavailable() -> str:
    """Why there is no such filter on this machine, or ""."""
    if sys.platform != "linux":
        return f"only Linux has it, this is {sys.platform}"
    machine = os.uname().machine
    if machine not in MACHINES or sys.maxsize < 2**32:
        return f"no table of system calls for a {machine} of {8 * struct.calcsize('P')} bits"
    return ""


def program(machine: str, pid: int) -> list[Instruction]:
    """The filter.

    Args:
        machine: a key of MACHINES.
        pid: of the process that it is for.

    Returns:
        Its instructions.
    """
    mark, column = MACHINES[machine]
    made: list[Instruction] = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, mark), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        made += [(AT_LEAST, 0, 1, _X32), (RETURN, 0, 0, DENY)]
    for numbers in DENIED.values():
        if (number := numbers[column]) is not None:
            made += [(EQUAL, 0, 1, number), (RETURN, 0, 0, DENY)]
    made += [(EQUAL, 0, 1, _CLONE3), (RETURN, 0, 0, UNKNOWN)]
    made += [(EQUAL, 0, 4, _CLONE[column]), (LOAD, 0, 0, ARGUMENT), (ANY_BIT, 0, 1, _CLONE_THREAD)]
    made += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, DENY)]
    for name, numbers in _ON_ITSELF.items():
        own = (pid, 0) if name == "prlimit64" else (pid,)
        made += [(EQUAL, 0, 2 + 2 * len(own), numbers[column]), (LOAD, 0, 0, ARGUMENT)]
        for value in own:
            made += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
        made.append((RETURN, 0, 0, DENY))
    return [*made, (RETURN, 0, 0, ALLOW)]


def install() -> None:
    """Put the filter on this process and all its threads, for good.

    Raises:
        OSError: when the kernel refuses it, or there is none for this machine.
    """
    reason = unavailable()
    if reason:
        raise OSError(errno.ENOSYS, f"no filter of system calls: {reason}")
    machine = os.uname().machine
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    handed = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    # Programs that raise rights would be confused by refused calls: the kernel wants it promised that none is started.
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "no filter of system calls: rights cannot be given up")
    libc.syscall.restype = ctypes.c_long
    done = libc.syscall(ctypes.c_long(_SECCOMP[machine]), ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(_FOR_ALL_THREADS), ctypes.byref(handed))  # fmt: skip
    if done:  # a positive number is a thread that could not be covered
        raise OSError(ctypes.get_errno() or errno.EBUSY, "no filter of system calls: the kernel refuses it")


if __name__ == "__main__":  # asked by sandbox_layers whether it works here
    install()
    try:
        os.fork()
    except PermissionError:
        os._exit(0)
    os._exit(1)
