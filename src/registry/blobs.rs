//! Blobs: sent from a file and fetched into one, hashed on their way ("Pushing blobs", "Pulling
//! blobs").

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use sha2::{Digest as _, Sha256};
use ureq::http::Method;

use super::ask::{Asked, Content};
use super::document::Descriptor;
use super::retry::{self, Failed};
use super::{Digest, Listener, Notice, Registry, client};
use crate::sys::copy;
use crate::{Doing, Error, Result};

/// Bytes that are fetched at once.
const CHUNK: usize = 64 << 10;

/// A blob that is to be sent.
#[derive(Debug)]
pub struct Source<'a> {
    /// Where it is.
    pub file: &'a File,
    /// Its name in messages.
    pub digest: &'a Digest,
    /// Bytes.
    pub size: u64,
}

impl Registry<'_> {
    /// Whether the registry has it in this repository.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let doing = format!("look for the blob {digest} in {}", self.name);
        self.until_done(|| {
            let answer = self.follow(Asked {
                doing: &doing,
                method: Method::HEAD,
                url: self.url(&format!("blobs/{digest}"))?,
                accept: None,
                content: Content::None,
            })?;
            match answer.status().as_u16() {
                200 => Ok(true),
                404 => Ok(false),
                _ => Err(answer.unexpected()),
            }
        })
    }

    /// Sends a blob.
    ///
    /// # Errors
    /// The registry does not take it; the file is not what its digest says.
    pub fn send_blob(&self, source: &Source<'_>) -> Result<()> {
        let doing = format!("send the blob {} to {}", source.digest, self.name);
        self.until_done(|| self.send_once(&doing, source))
    }

    /// "POST then PUT": where it is to go is the registry's to say.
    fn send_once(&self, doing: &str, source: &Source<'_>) -> Result<(), Failed> {
        let begun = Asked {
            doing,
            method: Method::POST,
            url: self.url("blobs/uploads/")?,
            accept: None,
            content: Content::Bytes("application/octet-stream", &[]),
        };
        let answer = self.ask(&begun)?;
        if answer.status().as_u16() != 202 {
            return Err(answer.unexpected());
        }
        let pair = format!("digest={}", source.digest);
        let url = self.location(&begun, &answer)?.with(&pair);
        let too_long = || Error::new(doing, "it sends us to what is no address");
        let answer = self.ask(&Asked {
            doing,
            method: Method::PUT,
            url: url.ok_or_else(too_long)?,
            accept: None,
            content: Content::Blob(source),
        })?;
        if answer.status().as_u16() != 201 {
            return Err(answer.unexpected());
        }
        match answer.digest() {
            Some(other) if other != *source.digest => {
                let why = format!("the registry says that it has got {other}");
                Err(Error::new(doing, why).into())
            }
            _ => Ok(()),
        }
    }

    /// Fetches a blob into an empty file.
    ///
    /// # Errors
    /// The registry does not have it, or what comes is not what the descriptor says; the file cannot
    /// be written.
    pub fn fetch_blob(&self, blob: &Descriptor, target: &mut File) -> Result<()> {
        let doing = format!("fetch the blob {} from {}", blob.digest, self.name);
        self.until_done(|| {
            let restart = target.set_len(0).and_then(|()| target.rewind());
            restart.doing(|| doing.clone())?;
            let answer = self.follow(Asked {
                doing: &doing,
                method: Method::GET,
                url: self.url(&format!("blobs/{}", blob.digest))?,
                accept: None,
                content: Content::None,
            })?;
            if answer.status().as_u16() != 200 {
                return Err(answer.unexpected());
            }
            self.receive(&doing, answer.reader(), blob, target)
        })
    }

    /// Writes what comes, no more than there should be, and compares it.
    fn receive(
        &self,
        doing: &str,
        from: impl Read,
        blob: &Descriptor,
        target: &mut File,
    ) -> Result<(), Failed> {
        let mut from = from.take(blob.size.saturating_add(1));
        let (mut hash, mut done, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = from
                .read(&mut buffer)
                .map_err(|error| client::failed(doing, error.into()))?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            hash.update(bytes);
            done += read as u64;
            if done > blob.size {
                let why = format!(
                    "more comes than the {} bytes that it should have",
                    blob.size
                );
                return Err(Error::new(doing, why).into());
            }
            target.write_all(bytes).doing(|| doing.to_owned())?;
            (self.listener)(Notice::Fetching(done, blob.size));
        }
        let found = copy::hexadecimal(&hash.finalize());
        if done == blob.size && found == blob.digest.hexadecimal() {
            return Ok(());
        }
        let why = format!(
            "what comes are {done} bytes with the digest sha256:{found}, and it should be {} bytes \
             with another",
            blob.size
        );
        let hint = "the registry, or whoever is between, has changed it: it is not used";
        Err(Error::new(doing, why).hint(hint).into())
    }

    /// Tries what may be over in a moment as often as was agreed.
    pub(super) fn until_done<T>(&self, attempt: impl FnMut() -> Result<T, Failed>) -> Result<T> {
        let tell = |text| (self.listener)(Notice::Again(text));
        retry::until_done(self.retries, &tell, attempt)
    }
}

impl<'a> Source<'a> {
    /// Reads it from its beginning.
    ///
    /// # Errors
    /// `lseek(2)`'s.
    pub(super) fn open(&'a self, listener: &'a Listener<'a>) -> Result<Sending<'a>> {
        let mut file = self.file;
        file.rewind()
            .doing(|| format!("read the blob {}", self.digest))?;
        Ok(Sending {
            source: self,
            listener,
            hash: Sha256::new(),
            done: 0,
        })
    }
}

/// A blob on its way.
pub(super) struct Sending<'a> {
    source: &'a Source<'a>,
    listener: &'a Listener<'a>,
    hash: Sha256,
    done: u64,
}

impl Read for Sending<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.size - self.done;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let mut file = self.source.file;
        let read = file.read(room)?;
        if read == 0 {
            // Fewer bytes than were announced: the registry would wait for the rest.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(room.get(..read).unwrap_or_default());
        self.done += read as u64;
        (self.listener)(Notice::Sending(self.done, self.source.size));
        Ok(read)
    }
}

impl Sending<'_> {
    /// Compares what was sent, if all of it was.
    ///
    /// # Errors
    /// It is not what its digest says.
    pub(super) fn check(self) -> Result<()> {
        let doing = format!("send the blob {}", self.source.digest);
        let length = self.source.file.metadata().doing(|| doing.clone())?.len();
        if length != self.source.size {
            let why = format!(
                "its file has {length} bytes, and its manifest says {}",
                self.source.size
            );
            return Err(Error::new(doing, why).hint(DAMAGED));
        }
        let whole = self.done == self.source.size;
        if whole && copy::hexadecimal(&self.hash.finalize()) != self.source.digest.hexadecimal() {
            return Err(Error::new(doing, "its file has another content").hint(DAMAGED));
        }
        Ok(())
    }
}

/// What to do about a layout that is not what it says.
pub const DAMAGED: &str = "the layout is damaged: export it again";
