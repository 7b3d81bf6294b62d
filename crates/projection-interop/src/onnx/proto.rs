//! The part of the protobuf encoding that ONNX files need, and the messages of ONNX that models
//! use. Field numbers are those of `onnx.proto3`.

/// The bytes of a message.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A number that is 0 or more.
    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// A single precision number.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Element types, with ONNX's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Float = 1,
    Int64 = 7,
    Double = 11,
}

/// An attribute of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, &'static [i64]),
    Float(&'static str, f32),
    Text(&'static str, &'static str),
}

impl Attribute {
    /// AttributeProto.
    pub fn message(&self) -> Message {
        let named = |name: &str| Message::default().text(1, name);
        match self {
            Self::Float(name, value) => named(name).float(2, *value).number(20, 1),
            // Negative numbers are encoded as 64-bit ones.
            Self::Int(name, value) => named(name).number(3, *value as u64).number(20, 2),
            Self::Text(name, value) => named(name).text(4, value).number(20, 3),
            Self::Ints(name, values) => {
                let ints = values.iter().fold(named(name), |m, v| m.number(8, *v as u64));
                ints.number(20, 7)
            }
        }
    }
}

/// TensorProto, with its elements as little-endian bytes.
pub(super) fn tensor(name: &str, element: Element, shape: &[usize], raw: &[u8]) -> Message {
    let dims = shape.iter().fold(Message::default(), |m, n| m.number(1, *n as u64));
    dims.number(2, element as u64).text(8, name).bytes(9, raw)
}

/// ValueInfoProto of a matrix with any number of rows, which is called `n`.
pub(super) fn rows(name: &str, width: usize) -> Message {
    let any = Message::default().text(2, "n");
    let fixed = Message::default().number(1, width as u64);
    let shape = Message::default().message(1, &any).message(1, &fixed);
    let tensor = Message::default().number(1, Element::Float as u64).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_protobuf_says() {
        let message = Message::default().number(1, 300).text(2, "hi").float(3, 1.5);
        assert_eq!(
            message.into_bytes(),
            [0x08, 0xac, 0x02, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0xc0, 0x3f]
        );
        let minus_one = Attribute::Int("axis", -1).message().into_bytes();
        assert_eq!(minus_one[6..17], [0x18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(Message::default().number(20, 2).into_bytes(), [0xa0, 0x01, 2]);
    }
}
