//! Registry client, content store, safe unpack, snapshots and garbage collection.
