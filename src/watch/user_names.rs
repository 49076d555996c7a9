//! Names for the numbers of users, each looked up once.

use std::collections::BTreeMap;

use crate::host::users;

/// What has been looked up so far.
#[derive(Debug, Default)]
pub struct UserNames(BTreeMap<u32, Option<String>>);

impl UserNames {
    /// The user's name, or the number if it has none that can be found.
    pub fn of(&mut self, uid: u32) -> String {
        let found = self.0.entry(uid).or_insert_with(|| {
            let user = users::user_by_id(uid).ok().flatten();
            user.map(|user| user.name)
        });
        found.clone().unwrap_or_else(|| uid.to_string())
    }
}
