//! What there is to get at: gaoler puts it up outside the jail and says where it is.

use core::ffi::CStr;

use crate::raw::{self, Arguments, Refused};
use crate::{At, Stop, Tried, errors, numbers};

/// The first argument that is `NAME=VALUE`.
const FIRST: usize = 4;

/// As long as a path may be (`PATH_MAX`).
const LONGEST: usize = 4096;

/// Where everything is.
#[derive(Clone, Copy)]
pub struct Scene {
    pub arguments: Arguments,
}

impl Scene {
    /// The value of this name.
    pub fn text(self, name: &str) -> Result<&'static CStr, Stop> {
        let mut index = FIRST;
        while let Some(argument) = self.arguments.at(index) {
            let bytes = argument.to_bytes_with_nul();
            let value = bytes
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="));
            if let Some(value) = value.and_then(|value| CStr::from_bytes_with_nul(value).ok()) {
                return Ok(value);
            }
            index += 1;
        }
        Err(Stop::NotTried("it was not told where"))
    }

    /// The value of this name as a decimal number.
    pub fn number(self, name: &str) -> Result<usize, Stop> {
        let mut number = 0_usize;
        for byte in self.text(name)?.to_bytes() {
            let digit = usize::from(byte.wrapping_sub(b'0'));
            if digit > 9 {
                return Err(Stop::NotTried("it was told no number"));
            }
            number = number.wrapping_mul(10).wrapping_add(digit);
        }
        Ok(number)
    }

    /// Reads a file that may be the secret: through if it is.
    pub fn read_secret(self, file: usize) -> Tried {
        let mut found = [0; 64];
        let count = raw::call(
            numbers::READ,
            [file.into(), (&mut found).into(), found_size()],
        )
        .at("read what was opened")?;
        let token = self.text("token")?.to_bytes();
        match found.get(..count) {
            Some(found) if found.starts_with(token) => Ok("read a file outside"),
            _ => Err(Stop::Nothing("what was opened is not outside")),
        }
    }
}

fn found_size() -> raw::Word<'static> {
    64.into()
}

/// Whether the files of the host are there to be found under their own names: only where they
/// certainly are not may a probe take what is at `/` for the jail's own. Through if they may be.
pub fn look(scene: Scene) -> Tried {
    const HOST: Tried = Ok("the host's files are there");
    match open(scene.text("tree")?, DIRECTORY) {
        Err(refused) if refused.errno == errors::ENOENT => {}
        _ => return HOST,
    }
    // A struct stat begins with device and inode (stat(2)).
    let mut found = [0_u64; 32];
    let room = raw::Word::Room(raw::bytes_of(&mut found));
    let words = [HERE.into(), c"/".into(), room, 0.into()];
    if raw::call(numbers::NEWFSTATAT, words).is_err() {
        return HOST;
    }
    let host = [scene.number("root_device")?, scene.number("root_inode")?];
    match found.first_chunk() == Some(&host.map(|number| number as u64)) {
        true => HOST,
        false => Err(Stop::Nothing("it has a root directory of its own")),
    }
}

/// A path that is put together.
pub struct Path {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Path {
    pub fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            length: 0,
        }
    }

    /// With more at its end; what does not fit makes it useless, not wrong.
    pub fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            if self.length + 1 < LONGEST {
                self.bytes[self.length] = *byte;
                self.length += 1;
            }
        }
        self
    }

    /// With a decimal number at its end.
    pub fn with_number(self, number: usize) -> Self {
        let mut digits = [0; 20];
        let mut left = number;
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.with(&digits[at..])
    }

    /// As the kernel wants it.
    pub fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// `AT_FDCWD` (`openat(2)`).
pub const HERE: i32 = -100;
pub const READ: usize = 0;
pub const WRITE: usize = 1;
pub const READ_WRITE: usize = 2;
pub const CREATE: usize = 0o100;
pub const DIRECTORY: usize = 0o200000;

/// `openat(2)`, and if that is refused `openat2(2)`.
pub fn open_at(directory: i32, path: &CStr, flags: usize) -> Result<usize, Refused> {
    let mode = if flags & CREATE == 0 { 0 } else { 0o600 };
    let words = [directory.into(), path.into(), flags.into(), mode.into()];
    raw::call(numbers::OPENAT, words).or_else(|refused| {
        let mut how = [flags as u64, mode as u64, 0];
        let size = size_of_val(&how);
        let how = raw::bytes_of(&mut how);
        let words = [
            directory.into(),
            path.into(),
            raw::Word::Room(how),
            size.into(),
        ];
        raw::call(numbers::OPENAT2, words).map_err(|_| refused)
    })
}

/// `openat(2)` from the working directory.
pub fn open(path: &CStr, flags: usize) -> Result<usize, Refused> {
    open_at(HERE, path, flags)
}

/// `close(2)`, of which the answer means nothing.
pub fn close(descriptor: usize) {
    match raw::call(numbers::CLOSE, [descriptor.into()]) {
        Ok(_) | Err(_) => {}
    }
}

/// Removes a file. One that cannot be removed is left to gaoler, which knows the names.
pub fn remove(path: &Path) {
    let words = [HERE.into(), path.text().into(), 0.into()];
    match raw::call(numbers::UNLINKAT, words) {
        Ok(_) | Err(_) => {}
    }
}
