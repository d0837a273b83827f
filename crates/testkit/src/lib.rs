//! What tests need and the product does not: a scripted host, an image builder, a registry to
//! serve images from, and the leak check.

pub mod host;
pub mod image;
pub mod issuer;
pub mod leak;
pub mod registry;
pub mod signature;
pub mod spec;
