/* SPDX-License-Identifier: ISC */
/*
 * verb_mail - MAIL FROM: may a transaction begin?  In this order: is mail taken
 * now, does this session still have its turn, is the size one that we take, is
 * there room for it, what does policy say of the sender, and is it within the limits.
 */
#include "relay/ingress/gate.h"
#include "relay/ingress/verbs.h"

bool
check_mail(struct session *s, struct span args, union command *c)
{
	session_follow_config(s);
	struct verdict why;
	if (command_mail(args, &c->mail, &why))
		return true;
	session_log_refused(s, "mail", &why, "syntax", args, (struct span){0});
	session_refuse(s, &why);
	return false;
}

static bool
is_paused(const struct session *s)
{
	const atomic_bool *paused = s->in->o.paused;
	return paused != NULL && atomic_load_explicit(paused, memory_order_relaxed);
}

static struct verdict
judge(struct session *s, const struct mail_command *c, const char **rule)
{
	uint64_t most = session_message_size(s);
	if (most != 0 && c->size > most) {
		*rule = "message-size";
		return verdict_make(552, "5.3.4", "Message too large");
	}
	if (spool_admit(s->in->o.spool, c->size) != OK) {
		*rule = "spool-room";
		return verdict_make(452, "4.3.1", "No room for mail now");
	}
	struct access_facts f = session_facts(s, c->sender.text);
	struct verdict v = access_sender(&f, rule);
	return verdict_ok(&v) ? gate_message(s, c->sender.text, rule) : v;
}

static void
begin(struct session *s, const struct mail_command *c)
{
	struct loop *l = s->in->o.loop;
	struct transaction *t = transaction_new(loop_world(l));
	struct access_facts f = session_facts(s, c->sender.text);
	t->own = access_is_own(&f);
	t->smtputf8 = c->smtputf8;
	t->utf8_address = c->sender.utf8;
	t->binary = c->binary;
	t->declared = c->size;
	t->began = loop_now(l);
	t->message->flags = c->ret;
	t->message->sender = message_keep(t->message, c->sender.text);
	t->message->envid = message_keep(t->message, c->envid);
	s->tx = t;
	s->transactions++;
}

void
proceed_mail(struct session *s, const union command *c)
{
	if (is_paused(s)) {
		session_close(s, "4.3.2", "no mail is taken now");
		return;
	}
	if (s->transactions >= s->config->server.messages) {
		session_close(s, "4.7.0", "too many messages in one connection");
		return;
	}
	const char *rule = NULL;
	struct verdict v = judge(s, &c->mail, &rule);
	if (!verdict_ok(&v)) {
		session_log_refused(
		    s, "mail", &v, rule, c->mail.sender.text, (struct span){0});
		session_refuse(s, &v);
		return;
	}
	begin(s, &c->mail);
	session_say(s, "250 2.1.0 Ok");
}
