//! a
/// a
pub fn number(name:&str)->Option<u32>{ name.parse::<syscalls::Sysno>().ok().map(|s| s.id() as u32)}
/// a
pub fn name(n:u32)->Option<&'static str>{ syscalls::Sysno::new(n as usize).map(|s| s.name())}
/// a
pub fn highest()->u32{469}
