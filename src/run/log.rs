//! The jail's `/dev/log`.
