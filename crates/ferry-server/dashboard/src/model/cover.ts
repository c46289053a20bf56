/** An address of which only so much is seen as it takes to know it again: `m•••@example.com`. */
export function covered(email: string): string {
  const at = email.lastIndexOf("@");
  const [first = ""] = email;
  return at > 0 ? `${first}•••${email.slice(at)}` : `${first}•••`;
}
