//! What stands between a program and its TPM: records what crosses, and alters answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::swtpm;

/// The command code of a command, or of what it answers.
pub fn code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().expect("a header"))
}

pub const CREATE_PRIMARY: u32 = 0x131;
pub const FLUSH_CONTEXT: u32 = 0x165;
pub const GET_CAPABILITY: u32 = 0x17a;
pub const HMAC: u32 = 0x155;
pub const IMPORT: u32 = 0x156;
pub const RSA_DECRYPT: u32 = 0x159;
pub const SIGN: u32 = 0x15d;
pub const START_AUTH_SESSION: u32 = 0x176;
pub const TEST_PARMS: u32 = 0x18a;

type Alter = dyn Fn(&[u8], Vec<u8>) -> Vec<u8> + Send + Sync;

/// A proxy in front of an swtpm.
pub struct Proxy {
    /// The port that a TCTI names.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: u16,
    exchanges: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    alter: Mutex<Option<Box<Alter>>>,
    /// The command that the TPM does not get, and the code that is answered.
    refused: Mutex<Option<(u32, u32)>>,
}

impl Proxy {
    /// Stands before the TPM at `target`.
    pub fn before(target: u16) -> Self {
        loop {
            let port = swtpm::next_ports();
            let commands = TcpListener::bind((swtpm::host(), port));
            let control = TcpListener::bind((swtpm::host(), port + 1));
            let (Ok(commands), Ok(control)) = (commands, control) else { continue };
            let state = Arc::new(State { target, ..State::default() });
            let shared = Arc::clone(&state);
            thread::spawn(move || {
                for client in commands.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.serve(client));
                }
            });
            thread::spawn(move || {
                for client in control.incoming().flatten() {
                    thread::spawn(move || pipe(client, target + 1));
                }
            });
            return Self { port, state };
        }
    }

    /// Alters every answer from now on.
    pub fn alter(&self, alter: impl Fn(&[u8], Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        *self.state.alter.lock().unwrap() = Some(Box::new(alter));
    }

    /// Answers a command with a code from now on, as a TPM does that has not got it.
    pub fn refuse(&self, command: u32, code: u32) {
        *self.state.refused.lock().unwrap() = Some((command, code));
    }

    /// Leaves answers as they are from now on.
    pub fn leave(&self) {
        *self.state.refused.lock().unwrap() = None;
        *self.state.alter.lock().unwrap() = None;
    }

    /// Returns everything that crossed since the last time: commands and answers.
    pub fn take(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut *self.state.exchanges.lock().unwrap())
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) {
        let Ok(mut tpm) = TcpStream::connect((swtpm::host(), self.target)) else { return };
        while let Some(command) = message(&mut client) {
            let refused = self.refused.lock().unwrap().filter(|(it, _)| *it == code(&command));
            if let Some((_, code)) = refused {
                let answer = [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
                if client.write_all(&answer).is_err() {
                    return;
                }
                continue;
            }
            if tpm.write_all(&command).is_err() {
                return;
            }
            let Some(mut answer) = message(&mut tpm) else { return };
            if let Some(alter) = &*self.alter.lock().unwrap() {
                answer = alter(&command, answer);
            }
            self.exchanges.lock().unwrap().push((command, answer.clone()));
            if client.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// Sends a command to the TPM at `port` as it is.
pub fn exchange(port: u16, command: &[u8]) -> Vec<u8> {
    let mut tpm = TcpStream::connect((swtpm::host(), port)).expect("a TPM");
    tpm.write_all(command).expect("sent");
    message(&mut tpm).expect("an answer")
}

/// Reads a command or an answer: its length is in its header.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message).ok()?;
    let len = u32::from_be_bytes(message[2..6].try_into().ok()?) as usize;
    message.resize(len.max(10), 0);
    stream.read_exact(&mut message[10..]).ok()?;
    Some(message)
}

fn pipe(client: TcpStream, target: u16) {
    let Ok(tpm) = TcpStream::connect((swtpm::host(), target)) else { return };
    let (Ok(mut from), Ok(mut to)) = (client.try_clone(), tpm.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let (mut from, mut to) = (tpm, client);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
