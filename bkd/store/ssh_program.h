// A subsystem or command on a server through the system's ssh program, as a byte stream: what ssh has and libssh2 lacks (AES-GCM and ChaCha20, RSA keys, all
// of ssh_config(5), security keys by the agent) for the price of a process for each connection.
//
// Host keys are pinned as with libssh2 (ssh.h): only the file named here is believed, under the name in the address, and nothing is ever asked. What ssh
// complains of becomes the same errors. The process ends with the stream; should bkd be killed, it ends since its input does.
#ifndef BKD_STORE_SSH_PROGRAM_H
#define BKD_STORE_SSH_PROGRAM_H

#include "bkd/store/ssh.h"

// Starts ssh; whether it gets through shows when the stream is read: ERROR_KEY: the host is not pinned, or took none of our keys; ERROR_INTEGRITY: another
// host key than the pinned one; ERROR_UNREACHABLE: all else. Here ERROR_USAGE: a passphrase, which ssh takes from an agent only; ERROR_FAILED: there is no ssh.
MUST_USE int ssh_program_subsystem(const struct ssh_options *options, const char *name, struct stream **ret_stream, struct error *err);
// Likewise a command there.
MUST_USE int ssh_program_exec(const struct ssh_options *options, const char *command, struct stream **ret_stream, struct error *err);

#endif
