//! Generated code of the burstlet.v1 API.
