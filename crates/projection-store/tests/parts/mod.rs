//! Model files taken apart, to be put together wrongly.

use std::collections::BTreeMap;

use projection_core::projection::Model;
use serde_json::Value;

/// A file taken apart: its header and its data.
pub struct Parts {
    pub header: BTreeMap<String, Value>,
    pub data: Vec<u8>,
}

impl Parts {
    pub fn of(model: &Model) -> Self {
        let bytes = model.to_bytes().unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!((8 + length) % 64, 0);
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { header, data: bytes[8 + length..].to_vec() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(&self.data);
        bytes
    }

    pub fn text(mut self, key: &str, value: &str) -> Vec<u8> {
        self.header.get_mut("__metadata__").unwrap()[key] = value.into();
        self.bytes()
    }

    pub fn with(mut self, tensor: &str, key: &str, value: Value) -> Vec<u8> {
        self.header.get_mut(tensor).unwrap()[key] = value;
        self.bytes()
    }

    /// Overwrites the bytes of a tensor from an offset on.
    pub fn value(mut self, tensor: &str, offset: usize, bytes: &[u8]) -> Vec<u8> {
        let begin = self.header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + offset;
        self.data[begin..begin + bytes.len()].copy_from_slice(bytes);
        self.bytes()
    }

    pub fn renamed(mut self, tensor: &str) -> Vec<u8> {
        let entry = self.header.remove(tensor).unwrap();
        self.header.insert("elsewhere".into(), entry);
        self.bytes()
    }
}
