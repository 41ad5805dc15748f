/** Client authentication at the token endpoint that this broker speaks, best first (RFC 7591 §2). */
export const AUTH_METHODS = ['none', 'client_secret_post', 'client_secret_basic'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];
