//! Who a container runs as: an image's or a specification's `USER` held against the image's own
//! `/etc/passwd` and `/etc/group`.
//!
//! These files are the image's, so they are bounded and parsed strictly: an id is a decimal `u32`
//! that is not the kernel's "no id", and digits always mean an id, never an account that happens
//! to be called by digits. A line that does not parse is passed over, as the C library does.

use burstlet_model::ErrorKind;

use super::tree::{ImageTree, ImageTreeError};

/// Bytes of `/etc/passwd` and of `/etc/group`.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Groups that one account is a member of.
const GROUPS_MAX: usize = 1024;
/// The longest home directory.
const HOME_BYTES_MAX: usize = 4095;
/// An id that means "none" to the kernel.
const NO_ID: u32 = u32::MAX;

/// Who a container runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerUser {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The groups that list the account as a member, without `gid`, ascending.
    pub groups: Vec<u32>,
    /// The account's home directory, if it has one that is fit to be a variable's value.
    pub home: Option<String>,
}

/// Why a `USER` means nobody.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// It is not `user` or `user:group`.
    #[error("{0:?} is not a user: write USER or USER:GROUP, names or numbers")]
    Syntax(String),
    /// The image has no such account.
    #[error("the image's /etc/passwd has no user {0:?}: use a number or add the user to the image")]
    NoUser(String),
    /// The image has no such group.
    #[error(
        "the image's /etc/group has no group {0:?}: use a number or add the group to the image"
    )]
    NoGroup(String),
    /// The number is no id.
    #[error("{0:?} is not an id between 0 and 4294967294")]
    Id(String),
    /// The account has too many groups.
    #[error("the user {0:?} is a member of more than {GROUPS_MAX} groups")]
    TooManyGroups(String),
    /// The files cannot be read.
    #[error("read the image's accounts")]
    Image(#[source] ImageTreeError),
}

impl UserError {
    /// What class of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Image(error) => error.kind(),
            _ => ErrorKind::Invalid,
        }
    }
}

/// Finds out who `user` is in the image. An empty `user` is root.
///
/// # Errors
/// The image does not have the user or group, a number is no id, or its files are unfit.
pub fn resolve_user(user: &str, image: &ImageTree) -> Result<ContainerUser, UserError> {
    let read = |name| image.read(name, FILE_BYTES_MAX).map_err(UserError::Image);
    let passwd = read("etc/passwd")?.unwrap_or_default();
    let group = read("etc/group")?.unwrap_or_default();
    resolve(user, &passwd, &group)
}

/// The same over the files' bytes.
pub(crate) fn resolve(user: &str, passwd: &[u8], group: &[u8]) -> Result<ContainerUser, UserError> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let name = if user.is_empty() { "0" } else { name };
    if name.is_empty() || group_name.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(UserError::Syntax(user.to_owned()));
    }
    let id = number(name)?;
    let account = accounts(passwd).find(|account| match id {
        Some(id) => account.uid == id,
        None => account.name == name.as_bytes(),
    });
    let uid = match (id, &account) {
        (Some(id), _) => id,
        (None, Some(account)) => account.uid,
        (None, None) => return Err(UserError::NoUser(name.to_owned())),
    };
    let gid = match group_name {
        Some(group_name) => group_id(group_name, group)?,
        None => account.as_ref().map_or(0, |account| account.gid),
    };
    let groups = match &account {
        Some(account) => memberships(account.name, gid, group)
            .ok_or_else(|| UserError::TooManyGroups(name.to_owned()))?,
        None => Vec::new(),
    };
    let home = account.and_then(|account| home(account.home));
    Ok(ContainerUser {
        uid,
        gid,
        groups,
        home,
    })
}

/// One usable line of `/etc/passwd`.
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        let _comment = fields.next()?;
        let home = fields.next()?;
        (!name.is_empty()).then_some(Account {
            name,
            uid,
            gid,
            home,
        })
    })
}

/// The groups of `/etc/group`, with their members' list.
fn groups(group: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let _password = fields.next()?;
        let gid = id(fields.next()?)?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn group_id(name: &str, group: &[u8]) -> Result<u32, UserError> {
    if let Some(id) = number(name)? {
        return Ok(id);
    }
    let found = groups(group).find(|(known, ..)| *known == name.as_bytes());
    found
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| UserError::NoGroup(name.to_owned()))
}

fn memberships(name: &[u8], primary: u32, group: &[u8]) -> Option<Vec<u32>> {
    let mut ids: Vec<u32> = groups(group)
        .filter(|(_, gid, members)| {
            *gid != primary
                && members
                    .split(|byte| *byte == b',')
                    .any(|member| member == name)
        })
        .map(|(_, gid, _)| gid)
        .take(GROUPS_MAX + 1)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    (ids.len() <= GROUPS_MAX).then_some(ids)
}

/// A home directory becomes the value of an environment variable, and in some programs a line of
/// a file; so only an absolute path of printable text is one.
fn home(field: &[u8]) -> Option<String> {
    let home = std::str::from_utf8(field).ok()?;
    let fit = home.starts_with('/')
        && home.len() <= HOME_BYTES_MAX
        && !home.chars().any(char::is_control);
    fit.then(|| home.to_owned())
}

/// A text of digits as an id; `None` for a name.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let signed = text
        .strip_prefix(['-', '+'])
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if !digits && !signed {
        return Ok(None);
    }
    id(text.as_bytes())
        .map(Some)
        .ok_or_else(|| UserError::Id(text.to_owned()))
}

fn id(field: &[u8]) -> Option<u32> {
    if field.is_empty() || !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let id = std::str::from_utf8(field).ok()?.parse().ok()?;
    (id != NO_ID).then_some(id)
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
