//! The lines of one source file, as bits.

/// Lines of one block.
const BLOCK: u32 = 64;

/// Whether the tests ran a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    No,
    /// The line ran, but not each of its branches.
    Partly,
    Yes,
}

impl Hit {
    /// A line with this number of hits.
    pub fn of(hits: u64) -> Self {
        Self::when(hits > 0)
    }

    pub fn when(is_hit: bool) -> Self {
        if is_hit { Self::Yes } else { Self::No }
    }
}

/// One bit per line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block {
    coverable: u64,
    hit: u64,
}

/// Which lines can be covered, which are hit, and which are hit partly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    blocks: Vec<Block>,
    /// A prefix of the blocks: most reports have no such lines.
    partly: Vec<u64>,
}

impl Bits {
    #[inline]
    pub fn add(&mut self, line: u32, hit: Hit) {
        let (at, bit) = ((line / BLOCK) as usize, 1 << (line % BLOCK));
        if at >= self.blocks.len() {
            self.blocks.resize(at + 1, Block::default());
        }
        let block = &mut self.blocks[at];
        if hit == Hit::Yes || (hit == Hit::No && block.hit & bit == 0) {
            block.coverable |= bit;
            if hit == Hit::Yes {
                block.hit |= bit;
                if let Some(partly) = self.partly.get_mut(at) {
                    *partly &= !bit;
                }
            }
        } else if hit == Hit::Partly {
            self.add_partly(at, bit);
        }
    }

    /// A line that is hit entirely elsewhere stays so.
    fn add_partly(&mut self, at: usize, bit: u64) {
        let block = &mut self.blocks[at];
        if block.hit & bit == 0 {
            *block = Block { coverable: block.coverable | bit, hit: block.hit | bit };
            if at >= self.partly.len() {
                self.partly.resize(at + 1, 0);
            }
            self.partly[at] |= bit;
        }
    }

    /// `None` for a line that cannot be covered.
    pub fn get(&self, line: u32) -> Option<Hit> {
        let (at, bit) = ((line / BLOCK) as usize, 1 << (line % BLOCK));
        let block = self.blocks.get(at).filter(|block| block.coverable & bit != 0)?;
        let is_partly = self.partly.get(at).is_some_and(|partly| partly & bit != 0);
        Some(if is_partly { Hit::Partly } else { Hit::when(block.hit & bit != 0) })
    }

    /// The union: a line is hit entirely if it is in one of both.
    pub fn merge(&mut self, other: &Self) {
        let entirely = |at| self.entirely(at) | other.entirely(at);
        self.unite(other, self.partly_with(other, |at| !entirely(at)));
    }

    /// The union with another part of the tests: a line is hit partly if only one part hit it, and that one partly. If both
    /// did, they may have taken different branches.
    pub fn merge_part(&mut self, other: &Self) {
        let both = |at| self.hit_at(at) & other.hit_at(at);
        self.unite(other, self.partly_with(other, |at| !both(at)));
    }

    /// The lines that are hit partly in one of both, among those of each block that stay so.
    fn partly_with(&self, other: &Self, stay: impl Fn(usize) -> u64) -> Vec<u64> {
        let blocks = 0..self.partly.len().max(other.partly.len());
        blocks.map(|at| (self.partly_at(at) | other.partly_at(at)) & stay(at)).collect()
    }

    fn unite(&mut self, other: &Self, partly: Vec<u64>) {
        if self.blocks.len() < other.blocks.len() {
            self.blocks.resize(other.blocks.len(), Block::default());
        }
        for (block, other) in self.blocks.iter_mut().zip(&other.blocks) {
            *block = Block { coverable: block.coverable | other.coverable, hit: block.hit | other.hit };
        }
        self.partly = partly;
    }

    fn partly_at(&self, at: usize) -> u64 {
        self.partly.get(at).copied().unwrap_or_default()
    }

    fn hit_at(&self, at: usize) -> u64 {
        self.blocks.get(at).map_or(0, |block| block.hit)
    }

    fn entirely(&self, at: usize) -> u64 {
        self.hit_at(at) & !self.partly_at(at)
    }

    /// The lines that can be covered, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Hit)> {
        let lines = self.blocks.iter().zip(0u32..).flat_map(|(block, at)| {
            let is_set = move |bit: &u32| block.coverable >> bit & 1 == 1;
            (0..BLOCK).filter(is_set).map(move |bit| at * BLOCK + bit)
        });
        lines.filter_map(|line| Some((line, self.get(line)?)))
    }

    /// For each 64 lines, from line 0 on: a bit for each that can be covered, that is hit, and that is hit partly.
    pub fn blocks(&self) -> impl Iterator<Item = [u64; 3]> {
        self.blocks.iter().enumerate().map(|(at, block)| [block.coverable, block.hit, self.partly_at(at)])
    }

    /// The same back. Bits that contradict each other are dropped.
    pub fn from_blocks(blocks: impl Iterator<Item = [u64; 3]>) -> Self {
        let mut bits = Self::default();
        for [coverable, hit, partly] in blocks {
            let hit = hit & coverable;
            bits.blocks.push(Block { coverable, hit });
            bits.partly.push(partly & hit);
        }
        if bits.partly.iter().all(|partly| *partly == 0) {
            bits.partly = Vec::new();
        }
        bits
    }

    /// Hit lines, and lines that can be covered.
    pub fn sums(&self) -> (u64, u64) {
        let count = |bits: u64| u64::from(bits.count_ones());
        let sum = |sum: (u64, u64), block: &Block| (sum.0 + count(block.hit), sum.1 + count(block.coverable));
        self.blocks.iter().fold((0, 0), sum)
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| block.coverable == 0)
    }

    /// Memory in use.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + size_of_val(&*self.partly)
    }
}
