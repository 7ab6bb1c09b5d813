/*
 * What stands between a replica's data directory and its giving way to a clone, in this order
 * (renewer.c does it). What is left of an earlier time goes first, which may take long: everything
 * runs meanwhile, and once something is stopped no more than seconds pass. Then Patroni: without it
 * this instance can not come to lead. Pure.
 */
#include "instance/instance.h"

#define QUIT_MS 10000 /* then what is left is killed */

enum renew_act
renew_next(const struct renew_seen *s, struct msec now)
{
	if (s->stopping)
		return RENEW_STOPPING;
	if (s->armed || (s->postmaster && !s->standby))
		return RENEW_LEADS;
	if (s->left || s->removing)
		return s->removing ? RENEW_WAIT : RENEW_REMOVE;
	if (s->patroni)
		return RENEW_KILL_PATRONI;
	if (s->postmaster && s->quit_at.v == 0)
		return RENEW_QUIT;
	if (s->postmaster)
		return now.v >= s->quit_at.v + QUIT_MS ? RENEW_KILL : RENEW_WAIT;
	return RENEW_MOVE;
}
