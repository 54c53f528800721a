//! Errors of others, made into an [`Error`], and back.
//!
//! It may touch what errors are made of. Invariant: a round trip gives the error as it was.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use crate::error::{Errno, Error, Inner};

/// Takes over what `error` knows: its number (with Node's `code` and `errno` made from it), its text, its kind. The
/// original is the `source()`. An [`Error`] that was converted into an [`io::Error`] comes back as it was.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if let Some(own) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return own.clone();
        }
        let number = error.raw_os_error().map(Errno);
        Inner {
            code: number.map(Errno::name),
            errno: number.map(Errno::negated),
            ..Inner::foreign(error.to_string(), error.kind(), Arc::new(error))
        }
        .into()
    }
}

/// The kind is [`Error::kind`], and the error itself is what `get_ref()` and `into_inner()` give.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// An error of the user's own, with this message and no code.
impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::from(message.to_owned())
    }
}

/// An error of the user's own, with this message and no code.
impl From<String> for Error {
    fn from(message: String) -> Self {
        Inner::new(message, io::ErrorKind::Other).into()
    }
}

/// An error of the user's own: its text is the message, and it is the `source()`. An [`Error`] or [`io::Error`] in the
/// box keeps what it knows.
impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        match error.downcast::<io::Error>() {
            Ok(error) => Self::from(*error),
            Err(error) => Inner::foreign(error.to_string(), io::ErrorKind::Other, Arc::from(error)).into(),
        }
    }
}
