//! Building a graph: nodes in the order in which they run, and their constants.

use super::proto::{Attribute, Element, Message, rows, tensor};

/// The operators' version, and that of the file format which came with it.
pub(super) const OPSET: u64 = 17;
const IR_VERSION: u64 = 8;

/// A value in the graph: the name of an input, a constant or a node's output.
pub(super) type Name = String;

/// A graph of the input `query` (n × d).
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    outputs: Vec<Message>,
    made: usize,
}

pub(super) const QUERY: &str = "query";

impl Graph {
    fn fresh(&mut self, what: &str) -> Name {
        self.made += 1;
        format!("{what}_{}", self.made)
    }

    /// A node with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> Name {
        let output = self.fresh(operator);
        self.node_into(operator, inputs, &[&output], attributes);
        output
    }

    /// A node whose outputs have the given names.
    pub fn node_into(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Attribute],
    ) {
        let mut node = inputs.iter().fold(Message::default(), |m, name| m.text(1, name));
        node = outputs.iter().fold(node, |m, name| m.text(2, name));
        node = node.text(3, &format!("{operator}:{}", outputs[0])).text(4, operator);
        node = attributes.iter().fold(node, |m, attribute| m.message(5, &attribute.message()));
        self.nodes.push(node);
    }

    /// A constant of single precision.
    pub fn floats(&mut self, what: &str, shape: &[usize], values: &[f32]) -> Name {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(what, Element::Float, shape, &raw)
    }

    /// A constant of double precision.
    pub fn doubles(&mut self, what: &str, shape: &[usize], values: &[f64]) -> Name {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(what, Element::Double, shape, &raw)
    }

    /// A number of the given precision.
    pub fn scalar(&mut self, what: &str, precision: Element, value: f64) -> Name {
        match precision {
            Element::Double => self.doubles(what, &[], &[value]),
            _ => self.floats(what, &[], &[value as f32]),
        }
    }

    /// A list of whole numbers.
    pub fn integers(&mut self, what: &str, values: &[i64]) -> Name {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(what, Element::Int64, &[values.len()], &raw)
    }

    fn constant(&mut self, what: &str, element: Element, shape: &[usize], raw: &[u8]) -> Name {
        let name = self.fresh(what);
        self.constants.push(tensor(&name, element, shape, raw));
        name
    }

    /// Operators with two inputs, and with one.
    pub fn two(&mut self, operator: &str, left: &str, right: &str) -> Name {
        self.node(operator, &[left, right], &[])
    }

    pub fn one(&mut self, operator: &str, input: &str) -> Name {
        self.node(operator, &[input], &[])
    }

    /// The same values in another precision.
    pub fn cast(&mut self, input: &str, to: Element) -> Name {
        self.node("Cast", &[input], &[Attribute::Int("to", to as i64)])
    }

    /// left · rightᵀ, with `bias` added where there is one.
    pub fn times_transposed(&mut self, left: &str, right: &str, bias: Option<&str>) -> Name {
        let inputs: Vec<&str> = [left, right].into_iter().chain(bias).collect();
        self.node("Gemm", &inputs, &[Attribute::Int("transB", 1)])
    }

    /// Rows at length 1. They are scaled by their largest value first, so that the squares of
    /// very large or small ones stay finite.
    pub fn normalised(&mut self, input: &str) -> Name {
        let along_rows = || [Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 1)];
        let sizes = self.one("Abs", input);
        let largest = self.node("ReduceMax", &[&sizes], &along_rows());
        let scaled = self.two("Div", input, &largest);
        let length = self.node("ReduceL2", &[&scaled], &along_rows());
        self.two("Div", &scaled, &length)
    }

    /// Gives a value of `width` columns the name of an output.
    pub fn output(&mut self, value: &str, name: &str, width: usize) {
        self.node_into("Identity", &[value], &[name], &[]);
        self.outputs.push(rows(name, width));
    }

    /// The whole file of a graph that takes queries of dimension `dim`.
    pub fn into_file(self, dim: usize, metadata: &[(&str, String)]) -> Vec<u8> {
        let mut graph = Message::default();
        for node in &self.nodes {
            graph = graph.message(1, node);
        }
        graph = graph.text(2, "projection");
        for constant in &self.constants {
            graph = graph.message(5, constant);
        }
        graph = graph.message(11, &rows(QUERY, dim));
        for output in &self.outputs {
            graph = graph.message(12, output);
        }
        let opset = Message::default().text(1, "").number(2, OPSET);
        let mut file = Message::default()
            .number(1, IR_VERSION)
            .text(2, "projection")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &opset);
        for (key, value) in metadata {
            file = file.message(14, &Message::default().text(1, key).text(2, value));
        }
        file.into_bytes()
    }
}
