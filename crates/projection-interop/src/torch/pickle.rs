//! The instructions of a pickle that torch writes, and no others.
//!
//! Values lie in one list and refer to each other by number, so that a value which the
//! pickle repeats exists once, and one that contains itself does no harm.

use super::tensor::{Element, Storage, View};

/// Longest pickle. Torch takes some 3 kB for a layer.
const MAX_BYTES: usize = 4 << 20;
/// Most values, and most items of all dictionaries together. Torch takes some 250 a layer.
const MAX_NODES: usize = 1 << 16;

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
    Function(Function),
    StorageType(Element),
    Storage(Storage),
    Tensor(View),
}

/// What a pickle may call. None of it is called: each is a rule for making a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    OrderedDict,
    Tensor,
    Parameter,
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
            Self::Function(_) => "a function".into(),
            Self::StorageType(_) => "a type".into(),
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
        let mut machine = Machine::new(bytes);
        let root = machine
            .run()
            .map_err(|what| format!("{what} (before byte {} of {})", machine.at, bytes.len()))?;
        Ok(Self { nodes: machine.nodes, root })
    }

    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The value of a key; the last one where it was set several times, as in Python.
    pub fn item(&self, items: &[(Id, Id)], key: &str) -> Option<&Node> {
        let of_key =
            |(k, _): &&(Id, Id)| matches!(&self.nodes[*k], Node::Text(text) if text == key);
        items.iter().rev().find(of_key).map(|(_, value)| &self.nodes[*value])
    }

    /// The keys that are texts.
    pub fn keys(&self, items: &[(Id, Id)]) -> Vec<&str> {
        let text = |(key, _): &(Id, Id)| match &self.nodes[*key] {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        };
        items.iter().filter_map(text).collect()
    }
}

/// A pickle being read.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: std::collections::HashMap<u32, Id>,
    /// Items of all dictionaries and lists.
    items: usize,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Default::default(),
            items: 0,
        }
    }

    fn run(&mut self) -> Result<Id> {
        loop {
            let [opcode] = self.take()?;
            match opcode {
                0x80 => {
                    let [version] = self.take()?;
                    if !(2..=5).contains(&version) {
                        return Err(format!("pickle protocol {version}, expected 2 to 5"));
                    }
                }
                // The length of a frame says nothing that is needed.
                0x95 => drop(self.take::<8>()?),
                b'N' => self.push(Node::None)?,
                0x88 => self.push(Node::Bool(true))?,
                0x89 => self.push(Node::Bool(false))?,
                b'K' => {
                    let [value] = self.take()?;
                    self.push(Node::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Node::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Node::Int(value.into()))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    let value = f64::from_be_bytes(self.take()?);
                    self.push(Node::Float(value))?;
                }
                0x8c => {
                    let [length] = self.take()?;
                    self.text(length.into())?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.text(length as usize)?;
                }
                b')' => self.push(Node::Tuple(Vec::new()))?,
                b']' => self.push(Node::List(Vec::new()))?,
                b'}' => self.push(Node::Dict(Vec::new()))?,
                0x85..=0x87 => {
                    let length = usize::from(opcode - 0x84);
                    let first = self.height_of(length)?;
                    let items = self.stack.split_off(first);
                    self.push(Node::Tuple(items))?;
                }
                b'(' => self.marks.push(self.stack.len()),
                b't' => {
                    let items = self.above_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                b's' => {
                    let first = self.height_of(2)?;
                    let items = self.stack.split_off(first);
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.above_mark()?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.above_mark()?;
                    self.append(&items)?;
                }
                b'q' => {
                    let [place] = self.take()?;
                    self.remember(place.into())?;
                }
                b'r' => {
                    let place = u32::from_le_bytes(self.take()?);
                    self.remember(place)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let [place] = self.take()?;
                    self.recall(place.into())?;
                }
                b'j' => {
                    let place = u32::from_le_bytes(self.take()?);
                    self.recall(place)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Node::Text(module), Node::Text(name)) =
                        (&self.nodes[module], &self.nodes[name])
                    else {
                        return Err("a function whose name is no text".into());
                    };
                    let (module, name) = (module.clone(), name.clone());
                    self.global(&module, &name)?;
                }
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => self.persistent()?,
                b'.' => return self.pop(),
                other => {
                    let shown = char::from(other).escape_default();
                    return Err(format!(
                        "the instruction {other:#04x} ('{shown}'), which no dictionary of numbers \
                         and tensors needs: refused"
                    ));
                }
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.slice(N)?;
        Ok(bytes.try_into().expect("the slice has N bytes"))
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("truncated")?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("truncated")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a name that is not UTF-8".into())
    }

    fn push(&mut self, node: Node) -> Result<()> {
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// The height of the stack below its top `length` values, which are above any mark.
    fn height_of(&self, length: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let first = self.stack.len().checked_sub(length).filter(|first| *first >= floor);
        first.ok_or_else(|| "an instruction without its values".into())
    }

    fn pop(&mut self) -> Result<Id> {
        let first = self.height_of(1)?;
        Ok(self.stack.split_off(first)[0])
    }

    fn top(&self) -> Result<Id> {
        Ok(self.stack[self.height_of(1)?])
    }

    fn above_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("an instruction without its mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(place, top);
        if self.memo.len() > MAX_NODES {
            return Err(format!("more than {MAX_NODES} remembered values"));
        }
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let id = *self.memo.get(&place).ok_or("a remembered value that is not there")?;
        if self.stack.len() >= MAX_NODES {
            return Err(format!("more than {MAX_NODES} values at once"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// A whole number of given length, little-endian, in two's complement.
    fn long(&mut self) -> Result<()> {
        let [length] = self.take()?;
        let bytes = self.slice(length.into())?;
        if bytes.len() > 8 {
            return Err(format!("a whole number of {length} bytes, expected at most 8"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut filled = [if negative { 0xff } else { 0 }; 8];
        filled[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(filled)))
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = std::str::from_utf8(self.slice(length)?);
        let text = text.map_err(|_| "a text that is not UTF-8")?;
        self.push(Node::Text(text.to_string()))
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err("a key without a value".into());
        };
        self.count_items(pairs.len())?;
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(dict) => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            other => return Err(format!("items of {}, expected a dictionary", other.describe())),
        }
        Ok(())
    }

    fn count_items(&mut self, more: usize) -> Result<()> {
        self.items += more;
        if self.items > MAX_NODES {
            return Err(format!("more than {MAX_NODES} items"));
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<()> {
        self.count_items(items.len())?;
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            other => return Err(format!("items of {}, expected a list", other.describe())),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let node = match (module, name) {
            ("collections", "OrderedDict") => Node::Function(Function::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Node::Function(Function::Tensor),
            ("torch._utils", "_rebuild_parameter") => Node::Function(Function::Parameter),
            ("torch", "HalfStorage") => Node::StorageType(Element::Float16),
            ("torch", "BFloat16Storage") => Node::StorageType(Element::BFloat16),
            ("torch", "FloatStorage") => Node::StorageType(Element::Float32),
            ("torch", "DoubleStorage") => Node::StorageType(Element::Float64),
            _ => {
                let shown: String = format!("{module}.{name}").chars().take(120).collect();
                return Err(format!(
                    "it names {:?}: refused, only tensors of floats and dictionaries are read",
                    shown
                ));
            }
        };
        self.push(node)
    }

    /// What a call of a known function would give.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Node::Function(function), Node::Tuple(arguments)) =
            (&self.nodes[function], &self.nodes[arguments])
        else {
            return Err("a call of something that is no function: refused".into());
        };
        let node = match (function, &arguments[..]) {
            (Function::OrderedDict, []) => Node::Dict(Vec::new()),
            // Whether it needs a gradient, hooks and newer attributes say nothing here.
            (
                Function::Tensor,
                [storage, offset, shape, strides, _, _]
                | [storage, offset, shape, strides, _, _, _],
            ) => {
                let (Node::Storage(storage), Node::Int(offset)) =
                    (&self.nodes[*storage], &self.nodes[*offset])
                else {
                    return Err("a tensor without a storage".into());
                };
                Node::Tensor(View {
                    storage: storage.clone(),
                    offset: *offset,
                    shape: self.integers(*shape)?,
                    strides: self.integers(*strides)?,
                })
            }
            (Function::Parameter, [data, _, _]) => match &self.nodes[*data] {
                Node::Tensor(view) => Node::Tensor(view.clone()),
                other => return Err(format!("a parameter of {}", other.describe())),
            },
            (function, arguments) => {
                return Err(format!("{function:?} of {} arguments", arguments.len()));
            }
        };
        self.push(node)
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

    /// Attributes of a dictionary, such as the versions that torch keeps with state: passed
    /// over.
    fn build(&mut self) -> Result<()> {
        let (state, top) = (self.pop()?, self.top()?);
        match (&self.nodes[top], &self.nodes[state]) {
            (Node::Dict(_), Node::Dict(_)) => Ok(()),
            (other, _) => Err(format!("attributes of {}: refused", other.describe())),
        }
    }

    /// A storage: ("storage", type, key, device, number of elements).
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let unknown = || "a reference to something else than a storage: refused".to_string();
        let Node::Tuple(parts) = &self.nodes[id] else { return Err(unknown()) };
        let [kind, element, key, _, length] = parts[..] else { return Err(unknown()) };
        let storage = match [kind, element, key, length].map(|id| &self.nodes[id]) {
            [Node::Text(kind), Node::StorageType(element), Node::Text(key), Node::Int(length)]
                if kind == "storage" =>
            {
                Storage { element: *element, key: key.clone(), length: *length }
            }
            _ => return Err(unknown()),
        };
        self.push(Node::Storage(storage))
    }
}
