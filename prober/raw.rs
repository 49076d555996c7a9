//! Everything unsafe of the prober: how it starts, its system calls, and the few functions on
//! memory that the compiler calls by itself.

use core::ffi::CStr;

use crate::numbers;

/// What the kernel answered instead of doing it, and the call.
#[derive(Clone, Copy)]
pub struct Refused {
    /// The error number.
    pub errno: u8,
    /// The call's number, then its arguments.
    pub call: [usize; 7],
}

/// One argument of a system call.
pub enum Word<'a> {
    /// A number or a descriptor.
    Number(usize),
    /// Bytes that the kernel reads.
    Bytes(&'a [u8]),
    /// Bytes that the kernel writes to, or reads and writes.
    Room(&'a mut [u8]),
}

impl From<usize> for Word<'_> {
    fn from(number: usize) -> Self {
        Word::Number(number)
    }
}

impl From<i32> for Word<'_> {
    fn from(number: i32) -> Self {
        Word::Number(number as isize as usize)
    }
}

impl<'a> From<&'a CStr> for Word<'a> {
    fn from(text: &'a CStr) -> Self {
        Word::Bytes(text.to_bytes_with_nul())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Word<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Word::Bytes(bytes)
    }
}

impl<'a> From<&'a [u8]> for Word<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Word::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a mut [u8; N]> for Word<'a> {
    fn from(bytes: &'a mut [u8; N]) -> Self {
        Word::Room(bytes)
    }
}

impl Word<'_> {
    fn value(&mut self) -> usize {
        match self {
            Word::Number(number) => *number,
            Word::Bytes(bytes) => bytes.as_ptr() as usize,
            Word::Room(bytes) => bytes.as_mut_ptr() as usize,
        }
    }
}

/// Makes a system call that does not change this program's own memory beyond the [`Word::Room`]s
/// that it is given: who calls it sees to it that each is as large as the kernel believes.
pub fn call<const N: usize>(number: usize, mut words: [Word<'_>; N]) -> Result<usize, Refused> {
    let mut call = [number, 0, 0, 0, 0, 0, 0];
    for (place, word) in call[1..].iter_mut().zip(&mut words) {
        *place = word.value();
    }
    // SAFETY: pointers among the arguments come from references that live until the call is over;
    // calls that map, unmap or protect memory are made in this file only.
    let answer = unsafe { enter(&call) };
    checked(answer, call)
}

fn checked(answer: isize, call: [usize; 7]) -> Result<usize, Refused> {
    // Errors are the 4095 values below zero (syscall(2)); error numbers end at 133.
    match answer {
        -4095..0 => Err(Refused {
            errno: (-answer).min(255) as u8,
            call,
        }),
        _ => Ok(answer as usize),
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn enter(call: &[usize; 7]) -> isize {
    let answer;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11 (syscall(2)); what the call
    // does to memory is the caller's to answer for.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") call[0] => answer,
            in("rdi") call[1], in("rsi") call[2], in("rdx") call[3],
            in("r10") call[4], in("r8") call[5], in("r9") call[6],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

#[cfg(target_arch = "aarch64")]
unsafe fn enter(call: &[usize; 7]) -> isize {
    let answer;
    // SAFETY: the kernel keeps all registers but x0 (syscall(2)); what the call does to memory is
    // the caller's to answer for.
    unsafe {
        core::arch::asm!("svc 0", in("x8") call[0],
            inlateout("x0") call[1] => answer, in("x1") call[2], in("x2") call[3],
            in("x3") call[4], in("x4") call[5], in("x5") call[6], options(nostack));
    }
    answer
}

/// A call without arguments by the 32-bit entry, under its 32-bit number.
#[cfg(target_arch = "x86_64")]
pub fn call_32(number: usize) -> Result<usize, Refused> {
    let answer: usize;
    // SAFETY: the entry keeps all registers but rax and r8 to r11; a call without arguments
    // touches no memory of this program's.
    unsafe {
        core::arch::asm!("int 0x80", inlateout("rax") number => answer, options(nostack),
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    checked(answer as i32 as isize, [number, 0, 0, 0, 0, 0, 0])
}

/// Maps a page, with these protections (`mmap(2)`), from a descriptor or -1.
pub fn map(
    length: usize,
    protection: usize,
    flags: usize,
    descriptor: i32,
) -> Result<usize, Refused> {
    let call = [
        numbers::MMAP,
        0,
        length,
        protection,
        flags,
        descriptor as isize as usize,
        0,
    ];
    // SAFETY: without MAP_FIXED, which nobody here asks for, a new mapping takes the place of
    // nothing.
    checked(unsafe { enter(&call) }, call)
}

/// Changes the protections of pages that [`map`] made (`mprotect(2)`).
pub fn protect(pages: usize, length: usize, protection: usize) -> Result<usize, Refused> {
    let call = [numbers::MPROTECT, pages, length, protection, 0, 0, 0];
    // SAFETY: the pages are not this program's own code or stack.
    checked(unsafe { enter(&call) }, call)
}

/// Runs machine code that was written to pages of [`map`] or attached memory; it must return.
pub fn run_at(code: usize) {
    // SAFETY: the caller wrote a function there that does nothing but return.
    let function: extern "C" fn() = unsafe { core::mem::transmute(code) };
    function();
}

/// The bytes at an address that the kernel gave: attached shared memory, a mapping.
pub fn bytes_at<'a>(address: usize, length: usize) -> &'a mut [u8] {
    // SAFETY: the kernel mapped at least `length` bytes there for this process, and they stay
    // until it ends.
    unsafe { core::slice::from_raw_parts_mut(address as *mut u8, length) }
}

/// A duplicate of this process, sharing nothing; 0 in it (`fork(2)`). `flags` as `clone(2)`.
pub fn fork(flags: usize) -> Result<usize, Refused> {
    const SIGCHLD: usize = 17;
    let call = [numbers::CLONE, flags | SIGCHLD, 0, 0, 0, 0, 0];
    // SAFETY: without CLONE_VM the child has memory of its own, and goes on where this returns.
    checked(unsafe { enter(&call) }, call)
}

/// The address of a value, for the kernel to read it in a structure.
pub fn address<T: ?Sized>(value: &T) -> usize {
    core::ptr::from_ref(value).cast::<u8>().expose_provenance()
}

/// The address of a value that the kernel will change.
pub fn address_to_change<T: ?Sized>(value: &mut T) -> usize {
    core::ptr::from_mut(value).cast::<u8>().expose_provenance()
}

/// A structure as bytes for the kernel.
pub fn bytes_of<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: Plain types have no padding and no invariants.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(value).cast(), size_of::<T>()) }
}

/// Types of which every pattern of bits is a value, without padding.
///
/// # Safety
/// As said.
pub unsafe trait Plain {}
// SAFETY: arrays of integers are that.
unsafe impl<const N: usize> Plain for [u64; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u32; N] {}

/// Ends this process.
pub fn end(code: usize) -> ! {
    loop {
        // SAFETY: it ends the process and touches no memory.
        unsafe { enter(&[numbers::EXIT_GROUP, code, 0, 0, 0, 0, 0]) };
    }
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x0, sp",
    "bl {begin}",
    "brk #1",
    begin = sym begin,
);

/// The program's arguments, as the kernel laid them out.
#[derive(Clone, Copy)]
pub struct Arguments {
    stack: *const usize,
}

impl Arguments {
    /// One of them, from 0, which is the program's own name.
    pub fn at(self, index: usize) -> Option<&'static CStr> {
        // SAFETY: the kernel puts the number of arguments at the stack's top, and after it as many
        // pointers to strings that end in NUL (x86-64 psABI, 3.4.1); they stay for good.
        unsafe {
            (index < *self.stack)
                .then(|| CStr::from_ptr(*self.stack.add(1 + index) as *const core::ffi::c_char))
        }
    }
}

unsafe extern "C" fn begin(stack: *const usize) -> ! {
    crate::main(Arguments { stack })
}

// The compiler makes calls of these four. They use no loop that it could take for one of them.

#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: as the C function's contract; the direction flag is clear (psABI).
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _,
            inout("rsi") from => _, options(nostack, preserves_flags));
    }
    to
}

#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: as the C function's contract; the direction flag is clear (psABI).
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _,
            in("al") byte as u8, options(nostack, preserves_flags));
    }
    to
}

#[cfg(not(target_arch = "x86_64"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: as the C function's contract. Volatile, or it would be made a call of itself.
        unsafe { to.add(at).write_volatile(from.add(at).read()) };
    }
    to
}

#[cfg(not(target_arch = "x86_64"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: as the C function's contract. Volatile, or it would be made a call of itself.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: as the C function's contract.
        let (left, right) =
            unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: as the C function's contract.
    unsafe { memcmp(left, right, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const core::ffi::c_char) -> usize {
    let mut length = 0;
    // SAFETY: as the C function's contract.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    end(crate::PANICKED)
}
