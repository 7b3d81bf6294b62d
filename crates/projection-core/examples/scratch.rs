use ndarray::Array2;
use projection_core::search::Index;
use std::time::Instant;
struct R(u64);
impl R { fn n(&mut self)->f32{ let mut s=0.0; for _ in 0..4 { self.0^=self.0<<13; self.0^=self.0>>7; self.0^=self.0<<17; s+=(self.0>>40) as f32/(1<<24) as f32-0.5;} s } }
fn synth(n:usize,queries:usize)->(Array2<f32>,Array2<f32>){
  let mut r=R(0x9e3779b97f4a7c15); let d=384;
  let sp:Vec<f32>=(0..d).map(|i| (1.0+i as f32).powf(-0.4)).collect();
  let areas=(n/5000).max(20); let topics=n/50;
  let mk=|r:&mut R,c:usize| -> Vec<f32>{ (0..c*d).map(|i| r.n()*sp[i%d]).collect() };
  let a=mk(&mut r,areas); let t=mk(&mut r,topics);
  let mut make=|c:usize|{ Array2::from_shape_fn((c,d),|(i,j)|{ let tp=(i*7919+13)%topics; let ar=tp%areas; 0.5*a[ar*d+j]+0.6*t[tp*d+j]+0.62*r.n()*sp[j] }) };
  let x=make(n); let q=make(queries); (x,q)
}
fn main(){
  let args:Vec<String>=std::env::args().collect();
  let k:usize=args[2].parse().unwrap();
  let (x,q)= if args[1]=="real" {
    let x=projection_core::npy::NpyArray::load("/tmp/idx/x.npy").unwrap().to_f32().unwrap();
    let q=projection_core::npy::NpyArray::load("/tmp/idx/q.npy").unwrap().to_f32().unwrap();
    (Array2::from_shape_vec((x.len()/384,384),x).unwrap(),Array2::from_shape_vec((q.len()/384,384),q).unwrap())
  } else { synth(args[1].parse().unwrap(),1000) };
  let ids:Vec<i64>=(0..x.nrows() as i64).collect();
  let mut index=Index::from_vectors(&ids,x.view()).unwrap(); drop(x);
  let nq=q.nrows();
  let exact:Vec<_>=(0..nq.min(300)).map(|i| index.search(q.row(i).to_slice().unwrap(),None,k).unwrap()).collect();
  let t=Instant::now(); let f=index.make_lists(None,None,1).unwrap(); println!("{} rows build {:.2}s {f:?}",index.len(),t.elapsed().as_secs_f64());
  let mut plain=index.clone(); plain.drop_lists();
  let mut found=0;
  for (i,e) in exact.iter().enumerate(){ let h=index.search(q.row(i).to_slice().unwrap(),None,k).unwrap(); found+=e.iter().filter(|e| h.iter().any(|h| h.answer_id==e.answer_id)).count(); }
  let time=|ix:&Index,n:usize|{ let mut best=f64::MAX; let mut all=vec![]; for _ in 0..7 { let t=Instant::now(); for i in 0..n { std::hint::black_box(ix.search(q.row(i%nq).to_slice().unwrap(),None,k).unwrap()); } let e=t.elapsed().as_secs_f64()*1e6/n as f64; all.push(e); if e<best{best=e} } all.sort_by(f64::total_cmp); (all[3],best) };
  let l=time(&index,300); let p=time(&plain,20);
  println!("k {k} recall {:.4} lists {:.1} ({:.1}) exact {:.1} ({:.1}) ratio {:.1}",found as f64/(k*exact.len()) as f64,l.0,l.1,p.0,p.1,p.0/l.0);
}
