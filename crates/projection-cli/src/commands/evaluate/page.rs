pub fn page(_: &projection_core::compare::Evaluation, _: &super::report::Evaluated) -> String {
    String::new()
}
