//! `execveat(2)` with everything prepared beforehand.

use std::ffi::{CString, NulError};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// A NULL-terminated array of C strings, as `execve` wants it.
#[derive(Debug)]
pub struct StringArray {
    // Declared before the strings it points into. A pointer is made anew when its string changes;
    // nothing else changes after construction.
    pointers: Vec<*const libc::c_char>,
    strings: Vec<Vec<u8>>,
    numbered: Vec<Numbered>,
}

/// A string whose end is written later.
#[derive(Debug)]
struct Numbered {
    index: usize,
    /// How long it is without its number.
    length: usize,
}

/// The digits of the largest process id, and NUL.
const DIGITS: usize = 11;

impl StringArray {
    /// Copies `texts`.
    ///
    /// # Errors
    /// A text with a NUL byte in it.
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Result<Self, NulError> {
        Self::numbered(texts, |_| false)
    }

    /// Copies `texts`, with room for a number at the end of those that `is_numbered`.
    ///
    /// # Errors
    /// As [`StringArray::new`].
    pub fn numbered<S: AsRef<str>>(
        texts: &[S],
        is_numbered: impl Fn(&str) -> bool,
    ) -> Result<Self, NulError> {
        let mut strings: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| Ok(CString::new(text.as_ref())?.into_bytes_with_nul()))
            .collect::<Result<_, NulError>>()?;
        let mut numbered = Vec::new();
        for (index, (text, string)) in texts.iter().zip(&mut strings).enumerate() {
            let length = text.as_ref().len();
            if is_numbered(text.as_ref()) {
                string.resize(length + DIGITS, 0);
                numbered.push(Numbered { index, length });
            }
        }
        let mut pointers: Vec<*const libc::c_char> = strings
            .iter()
            .map(|string| string.as_ptr().cast())
            .collect();
        pointers.push(std::ptr::null());
        Ok(Self {
            pointers,
            strings,
            numbered,
        })
    }

    /// Writes the number, which is not negative, to the end of those that have room for it. Does
    /// not allocate.
    pub fn set_number(&mut self, number: i32) {
        for Numbered { index, length } in &self.numbered {
            let Some(string) = self.strings.get_mut(*index) else {
                continue;
            };
            let digits = string.get_mut(*length..).unwrap_or_default();
            let count = number.max(1).ilog10() as usize + 1;
            let mut rest = number;
            for (place, digit) in digits.iter_mut().take(DIGITS - 1).enumerate().rev() {
                // The room was filled with NUL, which ends the string after the last digit.
                if place < count {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                } else {
                    *digit = 0;
                }
            }
            if let Some(pointer) = self.pointers.get_mut(*index) {
                *pointer = string.as_ptr().cast();
            }
        }
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }
}

/// Executes the program behind `program`; returns only if that failed. Does not allocate.
pub fn execute(program: impl AsFd, arguments: &StringArray, environment: &StringArray) -> Errno {
    // SAFETY: the path is an empty NUL-terminated constant; both arrays end in NULL and point
    // into NUL-terminated vectors that the StringArray owns and never resizes, so that their heap
    // buffers do not move while it lives.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    super::last_errno()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(array: &StringArray) -> Vec<String> {
        let ends = array.strings.iter().map(|string| {
            let end = string.iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8(string[..end].to_vec()).unwrap()
        });
        ends.collect()
    }

    #[test]
    fn a_number_is_written_where_there_is_room_for_it() {
        let texts = ["A=b", "LISTEN_PID=", "C="];
        let mut array = StringArray::numbered(&texts, |text| text.starts_with("LISTEN")).unwrap();
        assert_eq!(strings(&array), texts);
        for number in [i32::MAX, 4_194_304, 10, 9, 7, 1234] {
            array.set_number(number);
            let wanted = format!("LISTEN_PID={number}");
            assert_eq!(strings(&array), ["A=b", wanted.as_str(), "C="]);
            let pointed: Vec<_> = array
                .strings
                .iter()
                .map(|string| string.as_ptr().cast())
                .collect();
            assert_eq!(array.pointers[..3], pointed);
            assert!(array.pointers[3].is_null());
        }
    }
}
