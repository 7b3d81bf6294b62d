//! Building a graph: values, the nodes that compute them in the order in which they run, and
//! constants.

use std::cell::RefCell;

use super::proto::{Attribute, Element, Message, rows, tensor};

/// The operators' version, and that of the file format which came with it.
const OPSET: u64 = 17;
const IR_VERSION: u64 = 8;

/// A graph under construction. Its input `query` is n × d in single precision.
#[derive(Debug, Default)]
pub(super) struct Graph(RefCell<Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// Names of values.
    names: Vec<String>,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    outputs: Vec<Message>,
}

/// A value in the graph: its input, a constant, or the output of a node. Arithmetic on values
/// adds nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'g> {
    graph: &'g Graph,
    name: usize,
    /// Its precision, which scalars beside it take.
    element: Element,
}

const QUERY: &str = "query";

pub(super) const AXIS_1: &[Attribute] = &[Attribute::Int("axis", 1)];

impl Graph {
    /// The input.
    pub fn query(&self) -> Value<'_> {
        self.value(QUERY.into(), Element::Float)
    }

    /// A constant of single precision.
    pub fn floats(&self, name: &str, shape: &[usize], values: &[f32]) -> Value<'_> {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Element::Float, shape, &raw)
    }

    /// A constant of double precision.
    pub fn doubles(&self, name: &str, shape: &[usize], values: &[f64]) -> Value<'_> {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Element::Double, shape, &raw)
    }

    /// A list of whole numbers.
    pub fn integers(&self, name: &str, values: &[i64]) -> Value<'_> {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Element::Int64, &[values.len()], &raw)
    }

    fn constant(&self, name: &str, element: Element, shape: &[usize], raw: &[u8]) -> Value<'_> {
        let value = self.fresh(name, element);
        let message = tensor(&self.name_of(value), element, shape, raw);
        self.0.borrow_mut().constants.push(message);
        value
    }

    /// A value whose name begins like this.
    fn fresh(&self, name: &str, element: Element) -> Value<'_> {
        let number = self.0.borrow().names.len();
        self.value(format!("{name}_{number}"), element)
    }

    fn value(&self, name: String, element: Element) -> Value<'_> {
        let names = &mut self.0.borrow_mut().names;
        names.push(name);
        Value { graph: self, name: names.len() - 1, element }
    }

    fn name_of(&self, value: Value<'_>) -> String {
        self.0.borrow().names[value.name].clone()
    }

    fn add_node(
        &self,
        operator: &str,
        inputs: &[Value<'_>],
        outputs: &[Value<'_>],
        attributes: &[Attribute],
    ) {
        let text = |m: Message, field, value: &Value<'_>| m.text(field, &self.name_of(*value));
        let mut node = inputs.iter().fold(Message::default(), |m, value| text(m, 1, value));
        node = outputs.iter().fold(node, |m, value| text(m, 2, value));
        node = node.text(3, &format!("{operator}:{}", self.name_of(outputs[0]))).text(4, operator);
        node = attributes.iter().fold(node, |m, attribute| m.message(5, &attribute.message()));
        self.0.borrow_mut().nodes.push(node);
    }

    /// The whole file of a graph that takes queries of dimension `dim`.
    pub fn into_file(self, dim: usize, metadata: &[(&str, String)]) -> Vec<u8> {
        let Parts { nodes, constants, outputs, .. } = self.0.into_inner();
        let all = |m: Message, field: u64, messages: &[Message]| {
            messages.iter().fold(m, |m, message| m.message(field, message))
        };
        let graph = all(Message::default(), 1, &nodes).text(2, "projection");
        let graph = all(graph, 5, &constants).message(11, &rows(QUERY, dim));
        let graph = all(graph, 12, &outputs);
        let opset = Message::default().text(1, "").number(2, OPSET);
        let file = Message::default()
            .number(1, IR_VERSION)
            .text(2, "projection")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &opset);
        let metadata = metadata.iter().map(|(k, v)| Message::default().text(1, k).text(2, v));
        all(file, 14, &metadata.collect::<Vec<_>>()).into_bytes()
    }
}

impl<'g> Value<'g> {
    /// A node whose inputs are this value and others, and whose output has this precision.
    pub fn node(self, operator: &str, others: &[Value<'g>], attributes: &[Attribute]) -> Self {
        let output = self.graph.fresh(operator, self.element);
        let inputs: Vec<_> = [self].iter().chain(others).copied().collect();
        self.graph.add_node(operator, &inputs, &[output], attributes);
        output
    }

    /// A constant of the same precision.
    pub fn scalar(self, value: f64) -> Self {
        match self.element {
            Element::Double => self.graph.doubles("scalar", &[], &[value]),
            _ => self.graph.floats("scalar", &[], &[value as f32]),
        }
    }

    /// The same values in another precision.
    pub fn cast(self, element: Element) -> Self {
        let cast = self.node("Cast", &[], &[Attribute::Int("to", element as i64)]);
        Value { element, ..cast }
    }

    /// self · rightᵀ, plus `bias` if there is one.
    pub fn times_transposed(self, right: Self, bias: Option<Self>) -> Self {
        let others: Vec<_> = [right].into_iter().chain(bias).collect();
        self.node("Gemm", &others, &[Attribute::Int("transB", 1)])
    }

    /// The values, or `least` if that is larger.
    pub fn at_least(self, least: f64) -> Self {
        self.node("Max", &[self.scalar(least)], &[])
    }

    /// A reduction such as `ReduceMax` of each row to one column.
    pub fn reduce_rows(self, operator: &str) -> Self {
        self.node(operator, &[], &[Attribute::Ints("axes", &[1]), Attribute::Int("keepdims", 1)])
    }

    /// Sums along an axis, which stays with length 1 if `keep`.
    pub fn sum(self, axis: i64, keep: bool) -> Self {
        let axes = self.graph.integers("axes", &[axis]);
        self.node("ReduceSum", &[axes], &[Attribute::Int("keepdims", keep.into())])
    }

    /// The same values with a new axis of length 1.
    pub fn unsqueeze(self, axis: i64) -> Self {
        self.node("Unsqueeze", &[self.graph.integers("axes", &[axis])], &[])
    }

    /// The rows with the given numbers.
    pub fn gather(self, numbers: Self) -> Self {
        self.node("Gather", &[numbers], &[])
    }

    /// The `k` largest values of each row, the first of equal ones first, and their columns.
    pub fn top_k(self, k: usize) -> (Self, Self) {
        let k = self.graph.integers("k", &[k as i64]);
        let largest = self.graph.fresh("largest", self.element);
        let columns = self.graph.fresh("columns", Element::Int64);
        self.graph.add_node("TopK", &[self, k], &[largest, columns], AXIS_1);
        (largest, columns)
    }

    /// Rows at length 1. They are scaled by their largest value first, so that the squares of
    /// very large or small ones stay finite.
    pub fn normalised(self) -> Self {
        let scaled = self / self.node("Abs", &[], &[]).reduce_rows("ReduceMax");
        scaled / scaled.reduce_rows("ReduceL2")
    }

    /// Makes a value of `width` columns an output of the graph.
    pub fn output(self, name: &str, width: usize) {
        let output = self.graph.value(name.into(), self.element);
        self.graph.add_node("Identity", &[self], &[output], &[]);
        self.graph.0.borrow_mut().outputs.push(rows(name, width));
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident),*) => {$(
        impl std::ops::$operator for Value<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.node(stringify!($operator), &[other], &[])
            }
        }
    )*};
}
// ONNX calls its operators as Rust calls its traits.
arithmetic!(Add add, Sub sub, Mul mul, Div div);
