//! The report as one HTML page that needs nothing else: no scripts, fonts or pictures from
//! elsewhere.

use projection_train::evaluation::{
    Estimate, Evaluation, EvaluationReport, Method, MethodReport, MethodResult, Part,
    ProtocolReport, ProtocolResult,
};

use super::charts::{Bar, bars, sweep};
use super::report::{against_exact, p_value, size, title};

/// Questions that are listed of those that were gained, and of those that were lost: at
/// once, and at most.
const AT_ONCE: usize = 8;
const LISTED: usize = 100;

/// Pairs of answers that are listed.
const CONFUSIONS: usize = 20;

/// Characters of an answer that are shown.
const CLIPPED: usize = 220;

/// The whole page.
pub fn page(evaluation: &Evaluation, report: &EvaluationReport) -> String {
    let mut body = format!(
        "<header><h1>How well answers are found</h1>\n<p class=\"about\">Store <b>{}</b>, {} \
         answers, embedding model {}</p>\n",
        escape(&report.store),
        report.answers,
        escape(&report.model),
    );
    for (class, label, messages) in
        [("warning", "Warning", &report.warnings), ("note", "Note", &report.notes)]
    {
        for message in messages {
            body += &format!("<p class=\"{class}\"><b>{label}.</b> {}</p>\n", escape(message));
        }
    }
    body += "</header>\n";
    for (protocol, numbers) in evaluation.protocols.iter().zip(&report.protocols) {
        body += &section(evaluation, protocol, numbers, report.answers);
    }
    body += &reading(report.seed);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n<title>Evaluation of {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&report.store),
    )
}

/// Text as HTML, in elements and attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn section(
    evaluation: &Evaluation,
    protocol: &ProtocolResult,
    numbers: &ProtocolReport,
    answers: usize,
) -> String {
    let mut title = title(numbers).to_string();
    title[..1].make_ascii_uppercase();
    let mut html = format!("<section>\n<h2>{}</h2>\n", escape(&title));
    html += &format!("<p class=\"about\">{}.</p>\n", escape(&size(numbers, answers)));
    for (result, method) in protocol.results.iter().zip(&numbers.methods) {
        if let Method::Candidate(_) = result.found.method {
            html += &match &method.against_exact {
                Some(other) => {
                    let line = against_exact(&method.method, other);
                    format!("<p class=\"about\">{}.</p>\n", escape(line.trim_end()))
                }
                None => verdict(method, &numbers.methods[0]),
            };
        }
    }
    html += &metric_charts(protocol, numbers);
    html += &table(protocol, numbers);
    if !protocol.sweeps.is_empty() {
        for (place, chosen) in evaluation.candidates.iter().enumerate() {
            let own: Vec<_> =
                protocol.sweeps.iter().filter(|sweep| sweep.candidate == place).collect();
            if own.is_empty() {
                continue;
            }
            html += &format!("<h3>{} with other parameters</h3>\n", escape(&chosen.name()));
            html += "<div class=\"charts sweeps\">\n";
            let cosine = &protocol.cosine().all;
            own.iter().for_each(|own| html += &sweep(own, cosine));
            html += "</div>\n";
        }
    }
    for result in &protocol.results {
        if let Method::Candidate(_) = result.found.method {
            html += &confusions(evaluation, protocol, result);
            html += &questions(evaluation, protocol, result);
        }
    }
    html + "</section>\n"
}

/// What a reader who reads one sentence should know.
fn verdict(method: &MethodReport, cosine: &MethodReport) -> String {
    let (own, other) = (&method.all, &cosine.all);
    let (class, judgement) = match (own.gained > own.lost, own.p_against_cosine < 0.05) {
        (true, true) => ("better", "more than chance would give"),
        (false, true) => ("worse", "worse, and more so than chance would give"),
        _ => ("open", "no more of a difference than chance may give"),
    };
    format!(
        "<p class=\"verdict {class}\"><b>{}</b> puts the right answer first for <b>{:.1} %</b> of \
         the questions, cosine for <b>{:.1} %</b>: {} gained and {} lost (p {}), {judgement}.</p>\n",
        escape(&method.method),
        100.0 * own.recall_at_1.value,
        100.0 * other.recall_at_1.value,
        own.gained,
        own.lost,
        equation(own.p_against_cosine),
    )
}

fn equation(p: f64) -> String {
    let p = p_value(p);
    escape(&if p.starts_with('<') { p } else { format!("= {p}") })
}

/// A number of a method, where it has one.
type Number = fn(&MethodReport) -> Option<&Estimate>;

fn metric_charts(protocol: &ProtocolResult, numbers: &ProtocolReport) -> String {
    let all: [(&str, Number, bool); 6] = [
        ("Right answer first (recall@1)", |m| Some(&m.all.recall_at_1), true),
        ("Right answer among five (recall@5)", |m| Some(&m.all.recall_at_5), true),
        ("MRR@10", |m| Some(&m.all.mrr_at_10), false),
        ("nDCG@10", |m| Some(&m.all.ndcg_at_10), false),
        // The two parts, where there are two.
        (
            "recall@1 where the answer has training questions",
            |m| m.unseen.as_ref().and(m.seen.as_ref()).map(|part| &part.recall_at_1),
            true,
        ),
        (
            "recall@1 where the answer has none",
            |m| m.seen.as_ref().and(m.unseen.as_ref()).map(|part| &part.recall_at_1),
            true,
        ),
    ];
    let mut html = "<div class=\"charts\">\n".to_string();
    for (title, number, in_percent) in all {
        let bar = |(result, method): (&MethodResult, &'_ MethodReport)| {
            let metric = number(method)?;
            let value = metric.value;
            Some(Bar {
                label: method.method.clone(),
                metric: *metric,
                value: match in_percent {
                    true => format!("{:.1} %", 100.0 * value),
                    false => format!("{value:.3}"),
                },
                is_chosen: matches!(result.found.method, Method::Candidate(_)),
            })
        };
        let all: Vec<Bar> = protocol.results.iter().zip(&numbers.methods).filter_map(bar).collect();
        if !all.is_empty() {
            html += &bars(title, &all);
        }
    }
    html + "</div>\n"
}

fn table(protocol: &ProtocolResult, numbers: &ProtocolReport) -> String {
    let mut html =
        "<h3>All numbers</h3>\n<div class=\"scroll\"><table>\n<thead><tr><th>method</th>\
                    <th>recall@1 %</th><th>recall@5 %</th><th>MRR@10</th><th>nDCG@10</th>\
                    <th>seen</th><th>unseen</th><th>gained</th><th>lost</th><th>p</th>\
                    </tr></thead>\n<tbody>\n"
            .to_string();
    for (number, (result, method)) in protocol.results.iter().zip(&numbers.methods).enumerate() {
        let chosen = matches!(result.found.method, Method::Candidate(_));
        let part = |part: &Option<Part>| {
            let first = |part: &Part| format!("{:.1}", 100.0 * part.recall_at_1.value);
            part.as_ref().map_or("–".to_string(), first)
        };
        let against = match number {
            0 => ["–".to_string(), "–".to_string(), "–".to_string()],
            _ => [
                method.all.gained.to_string(),
                method.all.lost.to_string(),
                p_value(method.all.p_against_cosine),
            ],
        };
        let all = &method.all;
        let cells = [
            all.recall_at_1.percent(),
            all.recall_at_5.percent(),
            all.mrr_at_10.number(),
            all.ndcg_at_10.number(),
            part(&method.seen),
            part(&method.unseen),
        ];
        html += &format!(
            "<tr{}><th>{}</th>",
            if chosen { " class=\"chosen\"" } else { "" },
            escape(&method.method)
        );
        for cell in cells.iter().chain(&against) {
            // The interval stays in one piece below its value.
            let cell = escape(cell).replace(" [", " <small>[").replace(']', "]</small>");
            html += &format!("<td>{cell}</td>");
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

/// The questions that a projection gained and lost against cosine.
fn questions(evaluation: &Evaluation, protocol: &ProtocolResult, result: &MethodResult) -> String {
    let name = evaluation.name(result.found.method);
    let (gained, lost) = protocol.gained_and_lost(result);
    let cosine = protocol.cosine();
    let mut html = String::new();
    for (title, numbers, wrong, by) in
        [("Lost", lost, result, name.clone()), ("Gained", gained, cosine, "cosine".to_string())]
    {
        html += &format!(
            "<h3>{title} by {}: {}</h3>\n",
            escape(&name),
            crate::output::count(numbers.len(), "question")
        );
        let item = |number: &usize| {
            let found = wrong.found.first[*number].map(|first| (by.as_str(), first));
            listed(evaluation, protocol, *number, found)
        };
        let shown = &numbers[..numbers.len().min(LISTED)];
        let (first, others) = shown.split_at(shown.len().min(AT_ONCE));
        if !first.is_empty() {
            let items: String = first.iter().map(item).collect();
            html += &format!("<ul class=\"questions\">\n{items}</ul>\n");
        }
        if !others.is_empty() {
            let (items, count): (String, _) = (others.iter().map(item).collect(), others.len());
            html += &format!(
                "<details><summary>{count} more</summary>\n<ul \
                 class=\"questions\">\n{items}</ul></details>\n"
            );
        }
        html += &more(numbers.len(), LISTED, "question");
    }
    html
}

/// A question with its right answer, and the one that somebody put first.
fn listed(
    evaluation: &Evaluation,
    protocol: &ProtocolResult,
    number: usize,
    found: Option<(&str, usize)>,
) -> String {
    let answer = |class: &str, title: &str, row: usize| {
        format!(
            "<p class=\"{class}\"><b>{}: {}</b> {}</p>",
            escape(title),
            escape(&evaluation.corpus.name(row)),
            answer_text(evaluation, row),
        )
    };
    let mut item = format!("<li><p class=\"question\">{}</p>", question(protocol, number));
    item += &answer("right", "right", protocol.queries.answer(number));
    if let Some((by, first)) = found {
        item += &answer("wrong", &format!("first by {by}"), first);
    }
    item + "</li>\n"
}

fn confusions(evaluation: &Evaluation, protocol: &ProtocolResult, result: &MethodResult) -> String {
    let pairs = protocol.confusions(result);
    let mut html = format!(
        "<h3>Answers that {} confuses</h3>\n",
        escape(&evaluation.name(result.found.method))
    );
    if pairs.is_empty() {
        return html + "<p>None: every right answer came first.</p>\n";
    }
    html += "<div class=\"scroll\"><table class=\"confusions\">\n<thead><tr><th>times</th><th>right \
             answer</th><th>came first</th><th>for example</th></tr></thead>\n<tbody>\n";
    for pair in pairs.iter().take(CONFUSIONS) {
        html += &format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            pair.count,
            escape(&evaluation.corpus.name(pair.right)),
            escape(&evaluation.corpus.name(pair.found)),
            question(protocol, pair.question),
        );
    }
    html += "</tbody></table></div>\n";
    html + &more(pairs.len(), CONFUSIONS, "pair")
}

/// A question, or its number where its text is not known.
fn question(protocol: &ProtocolResult, number: usize) -> String {
    match protocol.queries.text(number) {
        Some(text) => escape(text),
        None => format!("question {}", number + 1),
    }
}

fn answer_text(evaluation: &Evaluation, row: usize) -> String {
    let text = evaluation.corpus.text(row).unwrap_or_default();
    match text.char_indices().nth(CLIPPED) {
        Some((end, _)) => format!("{} …", escape(text[..end].trim_end())),
        None => escape(text),
    }
}

fn more(found: usize, shown: usize, what: &str) -> String {
    if found <= shown {
        return String::new();
    }
    let more = crate::output::count(found - shown, what);
    format!("<p class=\"about\">{more} more; all are in the output of --json --details.</p>\n")
}

/// How to read the page.
fn reading(seed: u64) -> String {
    format!(
        "<section class=\"reading\">\n<h2>How to read this</h2>\n<dl>\n\
         <dt>recall@1, recall@5</dt><dd>Share of questions whose right answer comes first, or \
         among the first five.</dd>\n\
         <dt>MRR@10, nDCG@10</dt><dd>Mean of 1/rank and of 1/log₂(rank + 1) of the right answer, 0 \
         beyond rank 10.</dd>\n\
         <dt>Whiskers and brackets</dt><dd>95 % intervals from 1,000 bootstrap resamples of the \
         questions (seed {seed}). The dashed line is cosine.</dd>\n\
         <dt>seen, unseen</dt><dd>recall@1 of questions whose right answer has training \
         questions, and of those whose answer has none.</dd>\n\
         <dt>gained, lost, p</dt><dd>Questions whose right answer only the method, or only cosine, \
         puts first. p is McNemar’s: how likely two equally good methods would differ so much.</dd>\n\
         <dt>nearest question</dt><dd>Each answer counts as near as its nearest training \
         question.</dd>\n\
         <dt>BM25</dt><dd>Words of the question in the text of the answer. Fused: 0.8 parts of the \
         projection and 0.2 of BM25, each scaled to the question’s best.</dd>\n\
         </dl>\n</section>\n"
    )
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        assert_eq!(
            escape("<script src='x'>\"&amp;\"</script>\u{1b}\n"),
            "&lt;script src=&#39;x&#39;&gt;&quot;&amp;amp;&quot;&lt;/script&gt;  "
        );
        assert_eq!(escape("naïve τ → 😀"), "naïve τ → 😀");
    }
}
