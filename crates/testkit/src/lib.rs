//! Scripted host, image builder, registry harness and leak check for tests.
