/// Passwords that are too common to be let in (NIST SP 800-63B section 5.1.1.2).
public struct PasswordList: Sendable {
  /// The most lines that are read.
  public static let lineMax = 2_000_000

  private let words: Set<String>

  /// The list of a text, a password a line; case does not count, nor do lines that are too short to be allowed.
  public init(text: String) {
    let lines = text.split(whereSeparator: \.isNewline).prefix(PasswordList.lineMax)
    words = Set(lines.filter { $0.utf8.count >= 8 }.map { $0.lowercased() })
  }

  /// Whether a password is on it.
  public func contains(_ password: String) -> Bool { words.contains(password.lowercased()) }

  /// The hundred that are met most often among those of eight characters and more; for where no file is given.
  public static let common = PasswordList(
    text: """
      12345678
      123456789
      1234567890
      password
      password1
      password12
      password123
      password1234
      passw0rd
      p@ssw0rd
      p@ssword
      pa$$word
      pa$$w0rd
      qwertyuiop
      qwerty123
      qwerty12
      qwerty1234
      qwerty12345
      1q2w3e4r
      1q2w3e4r5t
      1qaz2wsx
      1qaz2wsx3edc
      zaq12wsx
      q1w2e3r4
      q1w2e3r4t5
      qazwsxedc
      asdfghjkl
      asdf1234
      asdfasdf
      zxcvbnm1
      zxcvbnm123
      abcd1234
      abc12345
      abc123456
      abcdefgh
      a1b2c3d4
      aa123456
      aaaaaaaa
      11111111
      111111111
      1111111111
      00000000
      0000000000
      22222222
      88888888
      99999999
      12341234
      12344321
      11223344
      1122334455
      12121212
      123123123
      123321123
      87654321
      987654321
      9876543210
      0123456789
      0987654321
      147258369
      147852369
      159753456
      741852963
      789456123
      123qweasd
      123qwe123
      qweasdzxc
      qwer1234
      qweqweqwe
      iloveyou
      iloveyou1
      sunshine
      sunshine1
      princess
      princess1
      football
      football1
      baseball
      baseball1
      basketball
      superman
      superman1
      spiderman
      starwars
      pokemon1
      computer
      internet
      welcome1
      welcome123
      letmein1
      letmein123
      admin123
      admin1234
      administrator
      changeme
      changeme123
      trustno1
      whatever
      michelle
      jennifer
      liverpool
      chocolate
      samsung1
      dragon123
      monkey123
      master123
      secret123
      test1234
      testtest
      default1
      access14
      """)
}
