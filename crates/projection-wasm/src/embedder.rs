//! Text to vector.

use std::slice;

use projection_core::Result;
use projection_embed::Embedder;

use crate::outbox;
