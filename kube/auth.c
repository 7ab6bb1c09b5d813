/*
 * What a kube trusts and what it says it is: the CA bundle and the Authorization header. The
 * header line lives in one struct secret at one address for the whole life of the kube, because
 * transfers that wait point to it. Used by the workers, the agent and http.c.
 */
#include "kube/http.h"

#define AUTH_MAX (TOKEN_MAX + 64) /* "Authorization: Bearer " and the NUL */

void
auth_init(struct kube *k)
{
	secret_alloc(&k->authorization, AUTH_MAX);
	buf_init(&k->ca, CA_MAX);
}

void
auth_free(struct kube *k)
{
	secret_free(&k->authorization);
	buf_free(&k->ca);
}

int
kube_set_ca(struct kube *k, struct str pem, struct err *e)
{
	if (pem.len > CA_MAX)
		return err_set(e, ERR_LIMIT, "CA bundle of %zu bytes; at most %u", pem.len, CA_MAX);
	if (pem.len == 0 || memchr(pem.p, '\0', pem.len) != NULL ||
	    memmem(pem.p, pem.len, "-----BEGIN CERTIFICATE-----", 27) == NULL)
		return err_set(e, ERR_INVALID, "CA bundle holds no PEM certificate");
	buf_reset(&k->ca);
	buf_str(&k->ca, pem);
	return 0;
}

/* What follows "Authorization: <scheme> " is written by the caller at the returned place. */
static char *
auth_begin(struct kube *k, const char *scheme)
{
	explicit_bzero(k->authorization.p, AUTH_MAX);
	k->authorization.len = 0;
	k->unauthorized_at = (struct msec){0};
	int n = snprintf(k->authorization.p, AUTH_MAX, "Authorization: %s ", scheme);
	return k->authorization.p + n;
}

int
kube_set_token(struct kube *k, struct str token, struct err *e)
{
	if (token.len > TOKEN_MAX)
		return err_set(
		    e, ERR_LIMIT, "token of %zu bytes; at most %d", token.len, TOKEN_MAX);
	for (size_t i = 0; i < token.len; i++)
		if (token.p[i] <= 0x20 || token.p[i] > 0x7e)
			return err_set(e, ERR_INVALID, "token holds a byte that no header may");
	char *at = auth_begin(k, "Bearer");
	if (token.len == 0) {
		explicit_bzero(k->authorization.p, AUTH_MAX);
		return 0;
	}
	memcpy(at, token.p, token.len);
	k->authorization.len = (size_t)(at - k->authorization.p) + token.len;
	return 0;
}

static char *
base64_put(char *out, const unsigned char *p, size_t n)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		unsigned b1 = i + 1 < n ? p[i + 1] : 0, b2 = i + 2 < n ? p[i + 2] : 0;
		*out++ = digits[p[i] >> 2];
		*out++ = digits[(p[i] & 3) << 4 | b1 >> 4];
		*out++ = i + 1 < n ? digits[(b1 & 15) << 2 | b2 >> 6] : '=';
		*out++ = i + 2 < n ? digits[b2 & 63] : '=';
	}
	return out;
}

int
kube_set_basic(struct kube *k, const char *user, const struct secret *password, struct err *e)
{
	size_t user_len = strlen(user), len = user_len + 1 + password->len;
	if (len > TOKEN_MAX / 2)
		return err_set(e, ERR_LIMIT, "user and password of %zu bytes", len);
	if (strchr(user, ':') != NULL)
		return err_set(e, ERR_INVALID, "a user name with a colon");
	struct secret plain = {0};
	secret_alloc(&plain, len + 1);
	memcpy(plain.p, user, user_len);
	plain.p[user_len] = ':';
	if (password->len > 0)
		memcpy(plain.p + user_len + 1, password->p, password->len);
	char *end = base64_put(auth_begin(k, "Basic"), (const unsigned char *)plain.p, len);
	k->authorization.len = (size_t)(end - k->authorization.p);
	secret_free(&plain);
	return 0;
}
