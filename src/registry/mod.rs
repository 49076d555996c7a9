//! A registry of images, as those see it who push to it and pull from it (OCI distribution
//! specification 1.1).
//!
//! Whatever a registry says is hostile: each answer is bounded, each digest compared, no name of its
//! choice becomes a path, and it is not told who asks but where and how that was agreed. See
//! docs/decisions/0032-registry.md.
#![forbid(unsafe_code)]

mod accounts;
mod ask;
mod blobs;
pub mod challenge;
mod client;
mod digest;
pub mod document;
mod login;
mod manifests;
mod reference;
mod retry;
pub mod url;

use std::cell::RefCell;
use std::path::PathBuf;

use ureq::Agent;
use ureq::http::HeaderValue;

use accounts::Account;
pub use blobs::{DAMAGED, Source};
pub use digest::Digest;
pub use manifests::{Attached, Fetched};
pub use reference::Reference;
use url::Url;

use crate::{Error, Result};

/// How a registry is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Without TLS.
    pub plain_http: bool,
    /// Whose certificates are trusted, in place of those that the machine trusts.
    pub ca: Option<PathBuf>,
    /// Where user and password are, in place of the usual files.
    pub auth_file: Option<PathBuf>,
    /// How often what may pass is tried again.
    pub retries: u32,
}

/// What goes on, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something did not work and is tried again: in words.
    Again(String),
    /// As many bytes of a blob were fetched, of that many.
    Fetching(u64, u64),
    /// As many were sent.
    Sending(u64, u64),
}

/// Where notices go.
pub type Listener<'a> = dyn Fn(Notice) + 'a;

/// A registry, and one repository in it.
pub struct Registry<'a> {
    agent: Agent,
    /// Its address.
    root: Url,
    repository: String,
    /// Both, for messages.
    name: String,
    retries: u32,
    account: Account,
    /// What it wants to be sent with each request, once that is known.
    authorization: RefCell<Option<HeaderValue>>,
    listener: &'a Listener<'a>,
}

impl<'a> Registry<'a> {
    /// Gets ready to ask the registry of an image. Nothing is asked yet.
    ///
    /// # Errors
    /// The certificates or the accounts cannot be read.
    pub fn open(
        reference: &Reference,
        options: &Options,
        listener: &'a Listener<'a>,
    ) -> Result<Self> {
        let name = format!("{}/{}", reference.registry, reference.repository);
        let scheme = if options.plain_http { "http" } else { "https" };
        let root = Url::parse(&format!("{scheme}://{}/", reference.registry));
        let no_address = || Error::usage(format!("ask {name}"), "that is no address");
        let roots = match client::roots(options.ca.as_deref()) {
            // It may never be asked for one.
            Err(_) if options.plain_http && options.ca.is_none() => Vec::new(),
            found => found?,
        };
        Ok(Self {
            agent: client::agent(roots),
            root: root.ok_or_else(no_address)?,
            repository: reference.repository.clone(),
            retries: options.retries,
            account: accounts::account(reference, options.auth_file.as_deref())?,
            authorization: RefCell::new(None),
            listener,
            name,
        })
    }
}
