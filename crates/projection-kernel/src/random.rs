//! Random numbers that are the same on every machine.

/// A generator (SplitMix64): small, fast and good enough to shuffle with.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of numbers of a seed and a purpose: two purposes are independent.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut random = Self { state: seed };
        random.state = random.next() ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is above zero.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of a 128-bit product: even enough for any n that fits in memory.
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Puts the items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_evenly_and_the_same_in_every_run() {
        let mut places = [[0; 4]; 4];
        let mut random = Random::new(3, 0);
        for _ in 0..4000 {
            let mut items = [0, 1, 2, 3];
            random.shuffle(&mut items);
            items.iter().enumerate().for_each(|(at, item)| places[*item][at] += 1);
        }
        assert!(places.iter().flatten().all(|count| (850..1150).contains(count)), "{places:?}");
        assert_eq!(Random::new(1, 2).next(), Random::new(1, 2).next());
        assert_ne!(Random::new(1, 2).next(), Random::new(1, 3).next());
    }
}
