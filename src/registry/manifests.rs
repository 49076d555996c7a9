//! Manifests, their tags, and what is attached to them ("Pulling manifests", "Pushing Manifests",
//! "Listing Referrers").

use ureq::http::Method;

use super::ask::{Asked, Content};
use super::document::{self, Descriptor, Document, LARGEST};
use super::retry::Failed;
use super::{Digest, Registry};
use crate::export::oci::image::media;
use crate::{Error, Result};

/// What is asked for: an image, for one machine or for several.
const ACCEPTED: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A manifest or an index, whose digest is that of its bytes.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// As it is at the registry.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// What it says.
    pub document: Document,
}

/// What became of a manifest that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The registry lists it with what it is attached to.
    Listed,
    /// It does not say that it does.
    Unsaid,
}

impl Registry<'_> {
    /// The manifest by this tag or digest, if there is one.
    ///
    /// # Errors
    /// The registry cannot be asked; what comes is not what was asked for, is too large, or is
    /// neither an OCI manifest nor an OCI index.
    pub fn manifest(&self, by: &str) -> Result<Option<Fetched>> {
        let doing = format!("fetch the manifest {by} from {}", self.name);
        self.until_done(|| {
            let answer = self.follow(Asked {
                doing: &doing,
                method: Method::GET,
                url: self.url(&format!("manifests/{by}"))?,
                accept: Some(ACCEPTED),
                content: Content::None,
            })?;
            match answer.status().as_u16() {
                200 => {}
                404 => return Ok(None),
                _ => return Err(answer.unexpected()),
            }
            let media = answer.header("content-type").map(str::to_owned);
            let wanted = by.parse().ok().or(answer.digest());
            let bytes = answer.bytes(LARGEST)?;
            let digest = Digest::of(&bytes);
            if let Some(wanted) = wanted
                && wanted != digest
            {
                let why = format!("what comes has the digest {digest}, and it should be {wanted}");
                let hint = "the registry, or whoever is between, has changed it: it is not used";
                return Err(Error::new(&doing, why).hint(hint).into());
            }
            let document =
                document::parse(&bytes, media.as_deref()).map_err(|why| Error::new(&doing, why))?;
            Ok(Some(Fetched {
                bytes,
                digest,
                document,
            }))
        })
    }

    /// The digest of the manifest by this tag or digest, if there is one and the registry says so.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn manifest_digest(&self, by: &str) -> Result<Option<Digest>> {
        let doing = format!("look for the manifest {by} in {}", self.name);
        self.until_done(|| {
            let answer = self.follow(Asked {
                doing: &doing,
                method: Method::HEAD,
                url: self.url(&format!("manifests/{by}"))?,
                accept: Some(ACCEPTED),
                content: Content::None,
            })?;
            match answer.status().as_u16() {
                200 => Ok(answer.digest()),
                404 => Ok(None),
                _ => Err(answer.unexpected()),
            }
        })
    }

    /// Sends a manifest or index under a tag or digest.
    ///
    /// # Errors
    /// The registry does not take it, or takes it for something else.
    pub fn send_manifest(&self, by: &str, media: &str, bytes: &[u8]) -> Result<Attached> {
        let doing = format!("send the manifest {by} to {}", self.name);
        self.until_done(|| {
            let answer = self.ask(&Asked {
                doing: &doing,
                method: Method::PUT,
                url: self.url(&format!("manifests/{by}"))?,
                accept: None,
                content: Content::Bytes(media, bytes),
            })?;
            if answer.status().as_u16() != 201 {
                return Err(answer.unexpected());
            }
            match answer.digest() {
                Some(other) if other != Digest::of(bytes) => {
                    let why = format!("the registry says that it has got {other}");
                    Err(Error::new(&doing, why).into())
                }
                _ => Ok(match answer.header("oci-subject") {
                    Some(_) => Attached::Listed,
                    None => Attached::Unsaid,
                }),
            }
        })
    }

    /// What is attached to the manifest of this digest, by the referrers API; `None`: the registry
    /// does not have that.
    ///
    /// # Errors
    /// It cannot be asked, or what it answers is no index.
    pub fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>> {
        let doing = format!("list what is attached to {digest} in {}", self.name);
        self.until_done(|| {
            let answer = self.follow(Asked {
                doing: &doing,
                method: Method::GET,
                url: self.url(&format!("referrers/{digest}"))?,
                accept: Some(media::INDEX),
                content: Content::None,
            })?;
            match answer.status().as_u16() {
                200 => {}
                404 => return Ok(None),
                _ => return Err(answer.unexpected()),
            }
            let told = answer.header("content-type").map(str::to_owned);
            match document::parse(&answer.bytes(LARGEST)?, told.as_deref()) {
                Ok(Document::Index(index)) => Ok(Some(index.manifests)),
                // A page for people is what some answer to what they do not know.
                Ok(Document::Manifest(_)) | Err(_) => Ok(None),
            }
        })
    }

    /// Lists a manifest with what it is attached to where the registry does not do so itself: in an
    /// index under a tag ("Referrers Tag Schema"). Whether something had to be sent for it.
    ///
    /// # Errors
    /// The registry cannot be asked; what is under that tag is no index.
    pub fn list_referrer(&self, subject: &Digest, referrer: &serde_json::Value) -> Result<bool> {
        let tag = subject.referrers_tag();
        let now = self.manifest(&tag)?;
        let grown = document::with_referrer(now.as_ref().map(|now| &*now.bytes), referrer)
            .map_err(|why| {
                Error::new(format!("change what is under {tag} in {}", self.name), why)
            })?;
        let Some(grown) = grown else {
            return Ok(false);
        };
        self.send_manifest(&tag, media::INDEX, &grown)?;
        Ok(true)
    }

    /// An address below that of the repository.
    pub(super) fn url(&self, below: &str) -> Result<super::url::Url, Failed> {
        let path = format!("/v2/{}/{below}", self.repository);
        let url = self.root.join(&path);
        url.ok_or_else(|| Error::new(format!("ask {}", self.name), "that is no address").into())
    }
}
