//! The instructions of a pickle that torch writes, and no others.
//!
//! Values lie in one list and refer to each other by number, so that a value which the
//! pickle repeats exists once, and one that contains itself does no harm.

use std::collections::HashMap;

use super::tensor::{Element, Storage, View};

/// Longest pickle. Torch takes some 3 kB for a layer. An instruction takes a byte or more and
/// makes one value, so this also limits the memory that values take.
const MAX_BYTES: usize = 1 << 19;

/// The only functions and types that a pickle may name.
const GLOBALS: [(&str, &str, Global); 7] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::Tensor),
    ("torch._utils", "_rebuild_parameter", Global::Parameter),
    ("torch", "HalfStorage", Global::Storage(Element::Float16)),
    ("torch", "BFloat16Storage", Global::Storage(Element::BFloat16)),
    ("torch", "FloatStorage", Global::Storage(Element::Float32)),
    ("torch", "DoubleStorage", Global::Storage(Element::Float64)),
];

type Result<T> = std::result::Result<T, String>;
type Id = usize;

/// A value.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(View),
}

/// What a pickle may name. Nothing is ever called: a function is a rule for making a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Tensor,
    Parameter,
    Storage(Element),
}

impl Node {
    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Self::None => "None".into(),
            Self::Bool(value) => format!("{value}"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value:?}"),
            Self::Text(text) => format!("the text {:?}", text.chars().take(40).collect::<String>()),
            Self::Tuple(_) => "a tuple".into(),
            Self::List(_) => "a list".into(),
            Self::Dict(_) => "a dictionary".into(),
            Self::Global(_) => "a function or a type".into(),
            Self::Storage(_) => "a storage".into(),
            Self::Tensor(view) => format!("a tensor of shape {:?}", view.shape),
        }
    }
}

/// The values of a pickle.
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("{} bytes, expected at most {MAX_BYTES}", bytes.len()));
        }
        let mut machine = Machine { bytes, ..Machine::default() };
        let root = machine
            .run()
            .map_err(|what| format!("{what} (before byte {} of {})", machine.at, bytes.len()))?;
        Ok(Self { nodes: machine.nodes, root })
    }

    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The value of a key; the last one if it was set several times, as in Python.
    pub fn item(&self, items: &[(Id, Id)], key: &str) -> Option<&Node> {
        let has_key =
            |(id, _): &&(Id, Id)| matches!(&self.nodes[*id], Node::Text(text) if text == key);
        items.iter().rev().find(has_key).map(|(_, value)| &self.nodes[*value])
    }

    /// The keys that are texts.
    pub fn keys<'a>(&'a self, items: &'a [(Id, Id)]) -> impl Iterator<Item = &'a str> {
        items.iter().filter_map(|(key, _)| match &self.nodes[*key] {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// A pickle being read.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Follows the instructions up to the last one, which names the result.
    fn run(&mut self) -> Result<Id> {
        loop {
            let node = match self.slice(1)?[0] {
                b'N' => Node::None,
                0x88 => Node::Bool(true),
                0x89 => Node::Bool(false),
                b'K' => Node::Int(self.unsigned(1)? as i64),
                b'M' => Node::Int(self.unsigned(2)? as i64),
                b'J' => Node::Int(self.signed(4)?),
                0x8a => Node::Int(self.long()?),
                b'G' => Node::Float(f64::from_bits(self.unsigned(8)?.swap_bytes())),
                0x8c => Node::Text(self.text(1)?),
                b'X' => Node::Text(self.text(4)?),
                b']' => Node::List(Vec::new()),
                b'}' => Node::Dict(Vec::new()),
                b')' => Node::Tuple(Vec::new()),
                opcode @ 0x85..=0x87 => Node::Tuple(self.pop_many(usize::from(opcode - 0x84))?),
                b't' => Node::Tuple(self.above_mark()?),
                b'c' => global(self.line()?, self.line()?)?,
                0x93 => self.global_of_texts()?,
                b'R' => self.reduce()?,
                b'Q' => self.persistent()?,
                b'.' => return self.pop(),
                other => {
                    self.change(other)?;
                    continue;
                }
            };
            self.stack.push(self.nodes.len());
            self.nodes.push(node);
        }
    }

    /// Follows an instruction that makes no new value.
    fn change(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => self.version(),
            // The length of a frame says nothing that is needed.
            0x95 => self.slice(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'a' => self.pop_many(1).and_then(|items| self.add_items(&items)),
            b's' => self.pop_many(2).and_then(|items| self.add_items(&items)),
            b'e' | b'u' => self.above_mark().and_then(|items| self.add_items(&items)),
            b'q' => self.unsigned(1).and_then(|place| self.remember(place)),
            b'r' => self.unsigned(4).and_then(|place| self.remember(place)),
            0x94 => self.remember(self.memo.len() as u64),
            b'h' => self.unsigned(1).and_then(|place| self.recall(place)),
            b'j' => self.unsigned(4).and_then(|place| self.recall(place)),
            b'b' => self.build(),
            other => Err(format!(
                "the instruction {other:#04x} ('{}'), which no dictionary of numbers and tensors \
                 needs: refused",
                char::from(other).escape_default()
            )),
        }
    }

    // What follows an instruction in the file.

    fn slice(&mut self, length: usize) -> Result<&'a [u8]> {
        let (part, _) = self.bytes[self.at..].split_at_checked(length).ok_or("truncated")?;
        self.at += length;
        Ok(part)
    }

    /// A little-endian number of up to 8 bytes without a sign.
    fn unsigned(&mut self, length: usize) -> Result<u64> {
        Ok(self.slice(length)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<&'a str> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        let line = self.slice(length.ok_or("truncated")? + 1)?;
        let text = std::str::from_utf8(&line[..line.len() - 1]);
        text.map_err(|_| "a name that is not UTF-8".into())
    }

    // The stack.

    /// The height of the stack below its top `length` values, which are above any mark.
    fn height_of(&self, length: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let first = self.stack.len().checked_sub(length).filter(|first| *first >= floor);
        first.ok_or_else(|| "an instruction without its values".into())
    }

    fn pop_many(&mut self, length: usize) -> Result<Vec<Id>> {
        let first = self.height_of(length)?;
        Ok(self.stack.split_off(first))
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    fn top(&self) -> Result<Id> {
        Ok(self.stack[self.height_of(1)?])
    }

    fn above_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("an instruction without its mark")?;
        Ok(self.stack.split_off(mark))
    }

    // Instructions.

    fn version(&mut self) -> Result<()> {
        match self.unsigned(1)? {
            2..=5 => Ok(()),
            other => Err(format!("pickle protocol {other}, expected 2 to 5")),
        }
    }

    /// A number in two's complement of so many bytes as the byte before it says.
    fn long(&mut self) -> Result<i64> {
        let length = self.unsigned(1)? as usize;
        self.signed(length)
    }

    /// A number of so many bytes in two's complement.
    fn signed(&mut self, length: usize) -> Result<i64> {
        if length > 8 {
            return Err(format!("a whole number of {length} bytes, expected at most 8"));
        }
        let unused = 64 - 8 * length as u32;
        let value = self.unsigned(length)?.checked_shl(unused).unwrap_or(0) as i64;
        Ok(value.checked_shr(unused).unwrap_or(0))
    }

    /// A text after its length, which takes so many bytes.
    fn text(&mut self, bytes: usize) -> Result<String> {
        let length = self.unsigned(bytes)? as usize;
        let text = std::str::from_utf8(self.slice(length)?);
        text.map(str::to_string).map_err(|_| "a text that is not UTF-8".into())
    }

    fn remember(&mut self, place: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u64) -> Result<()> {
        self.stack.push(*self.memo.get(&place).ok_or("a remembered value that is not there")?);
        Ok(())
    }

    /// Adds items to the list on top of the stack, or keys and values to the dictionary there.
    fn add_items(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        match (&mut self.nodes[top], items.as_chunks::<2>()) {
            (Node::List(list), _) => list.extend(items),
            (Node::Dict(dict), (pairs, [])) => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            (other, _) => return Err(format!("{} items of {}", items.len(), other.describe())),
        }
        Ok(())
    }

    fn global_of_texts(&mut self) -> Result<Node> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.nodes[module], &self.nodes[name]) {
            (Node::Text(module), Node::Text(name)) => global(module, name),
            _ => Err("a function whose name is no text".into()),
        }
    }

    /// What a call of a known function would return.
    fn reduce(&mut self) -> Result<Node> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Node::Global(function), Node::Tuple(arguments)) =
            (&self.nodes[function], &self.nodes[arguments])
        else {
            return Err("a call of something that is no function: refused".into());
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, []) => Ok(Node::Dict(Vec::new())),
            // The arguments after the strides (whether the tensor needs a gradient, hooks)
            // do not change its values.
            (Global::Tensor, [storage, offset, shape, strides, _, _])
            | (Global::Tensor, [storage, offset, shape, strides, _, _, _]) => {
                let (Node::Storage(storage), Node::Int(offset)) =
                    (&self.nodes[*storage], &self.nodes[*offset])
                else {
                    return Err("a tensor without a storage".into());
                };
                let (shape, strides) = (self.integers(*shape)?, self.integers(*strides)?);
                let storage = storage.clone();
                Ok(Node::Tensor(View { storage, offset: *offset, shape, strides }))
            }
            (Global::Parameter, [data, _, _]) => match &self.nodes[*data] {
                Node::Tensor(view) => Ok(Node::Tensor(view.clone())),
                other => Err(format!("a parameter of {}", other.describe())),
            },
            (function, arguments) => Err(format!("{function:?} of {} arguments", arguments.len())),
        }
    }

    fn integers(&self, id: Id) -> Result<Vec<i64>> {
        let Node::Tuple(items) = &self.nodes[id] else {
            return Err("a tensor whose shape is no tuple".into());
        };
        if items.len() > 8 {
            return Err(format!("a tensor of {} axes, expected at most 8", items.len()));
        }
        let integer = |id: &Id| match &self.nodes[*id] {
            Node::Int(value) => Ok(*value),
            other => Err(format!("{} in a tensor's shape", other.describe())),
        };
        items.iter().map(integer).collect()
    }

    /// Ignores attributes of a dictionary, such as the versions that torch keeps with state.
    fn build(&mut self) -> Result<()> {
        let (state, top) = (self.pop()?, self.top()?);
        match (&self.nodes[top], &self.nodes[state]) {
            (Node::Dict(_), Node::Dict(_)) => Ok(()),
            (other, _) => Err(format!("attributes of {}: refused", other.describe())),
        }
    }

    /// A storage: ("storage", type, key, device, number of elements).
    fn persistent(&mut self) -> Result<Node> {
        let id = self.pop()?;
        let unknown = || "a reference to something else than a storage: refused".to_string();
        let Node::Tuple(parts) = &self.nodes[id] else { return Err(unknown()) };
        let [kind, element, key, _, length] = parts[..] else { return Err(unknown()) };
        let [kind, element, key, length] = [kind, element, key, length].map(|id| &self.nodes[id]);
        match (kind, element, key, length) {
            (
                Node::Text(kind),
                Node::Global(Global::Storage(element)),
                Node::Text(key),
                Node::Int(length),
            ) if kind == "storage" => {
                Ok(Node::Storage(Storage { element: *element, key: key.clone(), length: *length }))
            }
            _ => Err(unknown()),
        }
    }
}

fn global(module: &str, name: &str) -> Result<Node> {
    let known = GLOBALS.iter().find(|known| (known.0, known.1) == (module, name));
    known.map(|known| Node::Global(known.2)).ok_or_else(|| {
        let found: String = format!("{module}.{name}").chars().take(120).collect();
        format!("it names {found:?}: refused, only tensors of floats and dictionaries are read")
    })
}
