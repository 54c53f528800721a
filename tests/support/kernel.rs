//! What the kernel knows about this process's own sockets, options that the public API sets and has no getter for, and
//! a kernel that refuses IPv6.
//!
//! May touch: std, socket2, libc, `/proc/self/fd` and the system call filter of one thread, so Linux only. Invariant:
//! descriptors are looked at, never closed, changed or kept.

#![allow(dead_code)]

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use socket2::SockRef;

/// Where the first argument of a system call begins in what the filter sees, and where its lower half is in it.
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

/// Looks at the socket of this process that listens on `port`.
#[track_caller]
pub(crate) fn listening<R>(port: u16, look: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
    find(|socket| socket.is_listener().unwrap_or(false) && local(socket).is_some_and(|own| own.port() == port), look)
}

/// Looks at the socket of this process that is connected from port `local_port` to port `peer_port`.
#[track_caller]
pub(crate) fn connected<R>(local_port: u16, peer_port: u16, look: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
    find(
        |socket| {
            local(socket).is_some_and(|own| own.port() == local_port)
                && peer(socket).is_some_and(|other| other.port() == peer_port)
        },
        look,
    )
}

/// The backlog given to `listen`, as far as the kernel's own limit let it through.
pub(crate) fn backlog(descriptor: BorrowedFd<'_>) -> u32 {
    // SAFETY: every field of the structure is an integer, for which zero is a value.
    let mut information: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a small structure");
    // SAFETY: the pointers are to a structure and a length that live longer than the call, and the length is its size.
    let outcome = unsafe {
        libc::getsockopt(
            descriptor.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut information).cast(),
            &raw mut length,
        )
    };
    assert_eq!(outcome, 0, "TCP_INFO");
    // For a listening socket this field does not count segments: it holds the limit of the accept queue.
    information.tcpi_sacked
}

/// `TCP_DEFER_ACCEPT`, in seconds; 0 is off.
pub(crate) fn defer_accept(descriptor: BorrowedFd<'_>) -> libc::c_int {
    let mut seconds: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("a small integer");
    // SAFETY: the pointers are to an integer and a length that live longer than the call, and the length is its size.
    let outcome = unsafe {
        libc::getsockopt(
            descriptor.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw mut seconds).cast(),
            &raw mut length,
        )
    };
    assert_eq!(outcome, 0, "TCP_DEFER_ACCEPT");
    seconds
}

/// How many segments with data were sent. With `TCP_NODELAY`, and as long as nothing waits to be sent, one call that
/// writes a few bytes makes one.
pub(crate) fn segments_sent(descriptor: BorrowedFd<'_>) -> u32 {
    // Newer fields than libc's structure has: `tcpi_data_segs_out` follows 8 bytes, 24 numbers of 32 bits, 4 of 64 and 5
    // of 32 (linux/tcp.h).
    const OFFSET: usize = 8 + 24 * 4 + 4 * 8 + 5 * 4;
    let mut information = [0_u8; 512];
    let mut length = libc::socklen_t::try_from(information.len()).expect("a small buffer");
    // SAFETY: the pointers are to a buffer and a length that live longer than the call, and the length is its size.
    let outcome = unsafe {
        libc::getsockopt(
            descriptor.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            information.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!(outcome, 0, "TCP_INFO");
    assert!(length as usize >= OFFSET + 4, "a kernel of 2016 or later");
    u32::from_ne_bytes(information[OFFSET..OFFSET + 4].try_into().expect("four bytes"))
}

/// The largest backlog that the kernel lets through.
pub(crate) fn largest_backlog() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the kernel's limit");
    text.trim().parse().expect("a number")
}

/// Whether the descriptor is closed in programs that this process starts.
pub(crate) fn closes_on_exec(descriptor: BorrowedFd<'_>) -> bool {
    // SAFETY: the descriptor is open while it is borrowed, and F_GETFD takes no pointer.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFD) };
    assert!(flags >= 0, "F_GETFD");
    flags & libc::FD_CLOEXEC != 0
}

/// Makes `socket(AF_INET6, …)` fail on this thread, as on a kernel without IPv6, for the rest of its life. False, and
/// announced, where the system does not allow it.
pub(crate) fn forbid_ipv6() -> bool {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let skip_unless = |k: u32, skipped: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skipped,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        // The number of the call comes first.
        statement(load, 0),
        skip_unless(libc::SYS_socket as u32, 3),
        statement(load, FIRST_ARGUMENT),
        skip_unless(libc::AF_INET6 as u32, 1),
        statement(answer, libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32),
        statement(answer, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program)
}

/// Makes `accept4` fail on this thread, as when the kernel has no memory for buffers, for the rest of its life. False, and
/// announced, where the system does not allow it.
pub(crate) fn forbid_accept() -> bool {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        // The number of the call comes first.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_accept4 as u32,
        },
        statement(answer, libc::SECCOMP_RET_ERRNO | libc::ENOBUFS as u32),
        statement(answer, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program)
}

fn install(program: &mut [libc::sock_filter]) -> bool {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the first call takes numbers only. The second reads the program through pointers that are valid for the
    // length of the call, and installs a copy for this thread.
    let forbidden = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if !forbidden {
        println!("skipped: this system does not let a thread filter its system calls");
    }
    forbidden
}

#[track_caller]
fn find<R>(wanted: impl Fn(&SockRef<'_>) -> bool, look: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
    for entry in std::fs::read_dir("/proc/self/fd").expect("the list of descriptors") {
        let name = entry.expect("a descriptor").file_name();
        let Ok(number) = name.to_string_lossy().parse::<RawFd>() else { continue };
        // SAFETY: the number is not negative, and the borrow ends with this round. Another thread may close the
        // descriptor meanwhile: then the questions below fail, or are answered by a socket with other addresses.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if wanted(&SockRef::from(&descriptor)) {
            return look(descriptor);
        }
    }
    panic!("no such socket in this process");
}

fn local(socket: &SockRef<'_>) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

fn peer(socket: &SockRef<'_>) -> Option<SocketAddr> {
    socket.peer_addr().ok()?.as_socket()
}
