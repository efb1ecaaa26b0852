"""Five other implementations of signed tokens: each verifies ours, and signs what we verify."""

import base64
import json
import warnings

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from joserfc import jws as joserfc_jws, jwt as joserfc_jwt
from joserfc.jwk import import_key
from jwcrypto import jwk as jwcrypto_jwk, jws as jwcrypto_jws, jwt as jwcrypto_jwt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that joserfc is its successor; both are peers here
    from authlib.jose import JsonWebKey, JsonWebSignature, JsonWebToken

KINDS = {"ES256": {"kty": "EC", "crv": "P-256"}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
         "RS256": {"kty": "RSA", "size": 2048}}


def unpacked(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def packed(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pem_of(key):
    """A key of jwcrypto as cryptography has it."""
    return serialization.load_pem_private_key(key.export_to_pem(private_key=True, password=None), None)


# Verifying: the claims, or an exception. Only the signature and the form: what claims mean is another matter.

def pyjwt_reads(token, public, algorithm):
    options = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_sub": False}
    return jwt.decode(token, jwt.PyJWK(public).key, algorithms=[algorithm], options=options)


def joserfc_reads(token, public, algorithm):
    return joserfc_jwt.decode(token, import_key(public), algorithms=[algorithm]).claims


def jwcrypto_reads(token, public, algorithm):
    read = jwcrypto_jwt.JWT(algs=[algorithm], check_claims={})
    read.leeway = 10**12
    read.deserialize(token, jwcrypto_jwk.JWK(**public))
    return json.loads(read.claims)


def authlib_reads(token, public, algorithm):
    return dict(JsonWebToken([algorithm]).decode(token, JsonWebKey.import_key(public)))


def cryptography_reads(token, public, algorithm):
    signed, signature = token.rsplit(".", 1)
    key, signature, message = jwt.PyJWK(public).key, unpacked(signature), signed.encode()
    assert json.loads(unpacked(signed.split(".")[0]))["alg"] == algorithm
    if algorithm == "EdDSA":
        key.verify(signature, message)
    elif algorithm == "RS256":
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert len(signature) == 64
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    return json.loads(unpacked(signed.split(".")[1]))


READERS = {"PyJWT": pyjwt_reads, "joserfc": joserfc_reads, "jwcrypto": jwcrypto_reads, "Authlib": authlib_reads,
           "cryptography": cryptography_reads}


# Signatures over any bytes, with a key that may be of another kind: whether each library takes a token.

def pyjwt_takes(token, key):
    jwt.PyJWS().decode(token, jwt.PyJWK(key))


def joserfc_takes(token, key):
    joserfc_jws.deserialize_compact(token, import_key(key), algorithms=[key["alg"]])


def jwcrypto_takes(token, key):
    read = jwcrypto_jws.JWS()
    read.allowed_algs = [key["alg"]]
    read.deserialize(token, jwcrypto_jwk.JWK(**key))


def authlib_takes(token, key):
    JsonWebSignature([key["alg"]]).deserialize_compact(token, JsonWebKey.import_key(key))


TAKERS = {"PyJWT": pyjwt_takes, "joserfc": joserfc_takes, "jwcrypto": jwcrypto_takes, "Authlib": authlib_takes}


# Signing, with a private key of jwcrypto.

def pyjwt_signs(key, header, claims):
    return jwt.encode(claims, pem_of(key), algorithm=header["alg"], headers=header)


def joserfc_signs(key, header, claims):
    return joserfc_jwt.encode(header, claims, import_key(key.export(as_dict=True)), algorithms=[header["alg"]])


def jwcrypto_signs(key, header, claims):
    token = jwcrypto_jwt.JWT(header=header, claims=claims)
    token.make_signed_token(key)
    return token.serialize()


def authlib_signs(key, header, claims):
    return JsonWebToken([header["alg"]]).encode(header, claims, JsonWebKey.import_key(key.export(as_dict=True))).decode()


def cryptography_signs(key, header, claims):
    return signed_by(key, header["alg"], json.dumps(header).encode(), json.dumps(claims).encode())


def signed_by(key, algorithm, header, payload):
    """A token of any bytes, truly signed."""
    message, private = f"{packed(header)}.{packed(payload)}".encode(), pem_of(key)
    if algorithm == "EdDSA":
        signature = private.sign(message)
    elif algorithm == "RS256":
        signature = private.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{message.decode()}.{packed(signature)}"


SIGNERS = {"PyJWT": pyjwt_signs, "joserfc": joserfc_signs, "jwcrypto": jwcrypto_signs, "Authlib": authlib_signs,
           "cryptography": cryptography_signs}
