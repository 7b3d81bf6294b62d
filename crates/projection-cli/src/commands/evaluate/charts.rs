//! Charts as inline SVG. Colours come from the page's style sheet.

use projection_train::evaluation::{Estimate, Metrics, Parameter, Part, Sweep};

use super::page::escape;

/// One bar of a chart.
pub struct Bar {
    pub label: String,
    pub metric: Estimate,
    /// The value in words.
    pub value: String,
    /// Whether it is the projection that the report is about.
    pub is_chosen: bool,
}

/// Horizontal bars from 0 to 1 with their intervals, and a line where the first one ends.
///
/// Labels and numbers are HTML, and lengths in percent, so that it fits any width.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let mut chart = format!("<figure class=\"bars\"><figcaption>{}</figcaption>\n", escape(title));
    let reference = bars.first().map_or(0.0, |bar| 100.0 * bar.metric.value);
    for bar in bars {
        let [value, low, high] =
            [bar.metric.value, bar.metric.low, bar.metric.high].map(|share| 100.0 * share);
        let class = if bar.is_chosen { " class=\"chosen\"" } else { "" };
        chart += &format!(
            "<div{class}><span class=\"label\">{label}</span><svg height=\"18\" role=\"img\" \
             aria-label=\"{text}, interval {low:.1} to {high:.1} %\">\
             <rect class=\"track\" width=\"100%\" height=\"18\" rx=\"2\"/>\
             <rect class=\"bar\" width=\"{value:.2}%\" height=\"18\" rx=\"2\"/>\
             <line class=\"reference\" x1=\"{reference:.2}%\" x2=\"{reference:.2}%\" y1=\"0\" y2=\"18\"/>\
             <line class=\"whisker\" x1=\"{low:.2}%\" x2=\"{high:.2}%\" y1=\"9\" y2=\"9\"/>\
             <line class=\"whisker\" x1=\"{low:.2}%\" x2=\"{low:.2}%\" y1=\"5\" y2=\"13\"/>\
             <line class=\"whisker\" x1=\"{high:.2}%\" x2=\"{high:.2}%\" y1=\"5\" y2=\"13\"/></svg>\
             <span class=\"value\">{text}</span></div>\n",
            label = escape(&bar.label),
            text = escape(&bar.value),
        );
    }
    chart + "</figure>\n"
}

/// Size of a line chart and of its margins, in its own units.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// A model's recall@1 and MRR@10 against one parameter, beside those of cosine.
///
/// Values stand at equal distances: they are chosen by factors rather than by steps.
pub fn sweep(sweep: &Sweep, cosine: &Part) -> String {
    let (name, symbol) = match sweep.parameter {
        Parameter::Temperature => ("temperature", "τ"),
        Parameter::Neighbours => ("neighbours", "k"),
        Parameter::Gain => ("gain", "s"),
    };
    let of = |metrics: &Metrics| [metrics.recall_at_1, metrics.mrr_at_10];
    let cosine = [cosine.recall_at_1.value, cosine.mrr_at_10.value];
    let all = sweep.points.iter().flat_map(|(_, metrics)| of(metrics)).chain(cosine);
    let (low, high) = all.fold((1.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    // Whole tenths around the values.
    let low = ((low * 10.0 - 0.2).floor() / 10.0).max(0.0);
    let high = ((high * 10.0 + 0.2).ceil() / 10.0).min(1.0).max(low + 0.1);
    let steps = sweep.points.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / steps;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);

    let mut chart = format!(
        "<figure class=\"sweep\"><figcaption>{name} {symbol}, now {own}</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"recall@1 and MRR@10 \
         against the {name}\">\n",
        own = sweep.own
    );
    let mut tick = low;
    while tick < high + 1e-9 {
        chart += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.1}</text>\n",
            WIDTH - RIGHT,
            LEFT - 4.0,
            y(tick) + 4.0,
            tick,
            y = y(tick),
        );
        tick += 0.1;
    }
    for (at, (value, _)) in sweep.points.iter().enumerate() {
        let class = if *value == sweep.own { " class=\"own\"" } else { "" };
        if *value == sweep.own {
            chart += &format!(
                "<line class=\"own\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\n",
                HEIGHT - BOTTOM,
                x = x(at),
            );
        }
        chart += &format!(
            "<text{class} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>\n",
            x(at),
            HEIGHT - BOTTOM + 15.0,
        );
    }
    for (number, class) in ["first", "reciprocal"].into_iter().enumerate() {
        chart += &format!(
            "<line class=\"{class} cosine\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n",
            WIDTH - RIGHT,
            y = y(cosine[number]),
        );
        let points: Vec<String> = (sweep.points.iter().enumerate())
            .map(|(at, (_, metrics))| format!("{:.1},{:.1}", x(at), y(of(metrics)[number])))
            .collect();
        chart += &format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" "));
        for (at, (value, metrics)) in sweep.points.iter().enumerate() {
            let found = of(metrics)[number];
            chart += &format!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{symbol} = \
                 {value}: {:.3}</title></circle>\n",
                x(at),
                y(found),
                found,
            );
        }
    }
    let legend = HEIGHT - 6.0;
    chart += &format!(
        "<line class=\"first\" x1=\"{LEFT}\" x2=\"58\" y1=\"{l}\" y2=\"{l}\"/>\
         <text x=\"62\" y=\"{t}\">recall@1</text>\
         <line class=\"reciprocal\" x1=\"128\" x2=\"148\" y1=\"{l}\" y2=\"{l}\"/>\
         <text x=\"152\" y=\"{t}\">MRR@10</text>\
         <line class=\"first cosine\" x1=\"214\" x2=\"234\" y1=\"{l}\" y2=\"{l}\"/>\
         <text x=\"238\" y=\"{t}\">the same by cosine</text>\n",
        l = legend - 4.0,
        t = legend,
    );
    chart + "</svg></figure>\n"
}
