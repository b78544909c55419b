#include "bkd/dr/remote.h"

#include <stdio.h>
#include <stdlib.h>

void remote_words(struct remote *remote, const char *ret_words[REMOTE_WORDS_MAX])
{
    static const char *const always[] = { "ssh", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15" };
    size_t n = 0;
    for (; n < sizeof always / sizeof *always; n++)
        ret_words[n] = always[n];
    if (remote->identity != NULL) {
        (void)snprintf(remote->options[0], sizeof remote->options[0], "IdentityFile=\"%s\"", remote->identity);
        ret_words[n++] = "-o";
        ret_words[n++] = remote->options[0];
        ret_words[n++] = "-o";
        ret_words[n++] = "IdentitiesOnly=yes";
    }
    if (remote->known_hosts != NULL) {
        (void)snprintf(remote->options[1], sizeof remote->options[1], "UserKnownHostsFile=\"%s\"", remote->known_hosts);
        ret_words[n++] = "-o";
        ret_words[n++] = remote->options[1];
    }
    if (remote->forwards_agent)
        ret_words[n++] = "-A";
    ret_words[n++] = "--";
    ret_words[n++] = remote->address;
    ret_words[n] = NULL;
}

void remote_env(struct env *ret_env)
{
    env_init(ret_env, NULL);
    env_add(ret_env, "SSH_AUTH_SOCK", getenv("SSH_AUTH_SOCK"));
}
