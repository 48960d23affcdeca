"""Prepares the S3 emulator, and reads from it.

usage: s3.py up ENDPOINT ROOT_KEY ROOT_SECRET BUCKET    creates the users, the bucket and the upload role; prints JSON
       s3.py list ENDPOINT KEY SECRET BUCKET            prints the bucket's keys, one a line
       s3.py sign ENDPOINT KEY SECRET BUCKET OBJECT   prints a URL to read this object, valid for an hour
       s3.py try ENDPOINT KEY SECRET BUCKET TOKEN OWN OTHER
                                                        tries operations with a site's credentials; prints the results as JSON
"""
import json
import sys

import boto3
import botocore.exceptions

command, endpoint, key, secret, bucket = sys.argv[1:6]


def client(service, key, secret, token=None):
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)


def policy(*statements, **statement):
    statements = [{"Effect": "Allow", **one} for one in (*statements, statement) if one]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def user(iam, name, document):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def up():
    # The root key's signature is not checked by the emulator, so the server gets a user of its own.
    own = user(client("iam", key, secret), "covered-server", policy(Action="*", Resource="*"))
    client("s3", *own).create_bucket(Bucket=bucket)
    iam = client("iam", *own)
    trust = policy(Principal={"AWS": "*"}, Action="sts:AssumeRole")
    role = iam.create_role(RoleName="covered-upload", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="covered-upload", PolicyName="put",
                        PolicyDocument=policy(Action="s3:PutObject", Resource=f"arn:aws:s3:::{bucket}/sites/*"))
    # The policy that the Python original's documentation gives its backend.
    original = user(iam, "covered-backend", policy(
        dict(Action=["s3:PutObject", "s3:GetObject"], Resource=f"arn:aws:s3:::{bucket}/sites/*"),
        dict(Action="sts:AssumeRole", Resource=role)))
    print(json.dumps({"key": own[0], "secret": own[1], "role": role,
                      "original_key": original[0], "original_secret": original[1]}))


def listing():
    pages = client("s3", key, secret).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for page in pages:
        for found in page.get("Contents", []):
            print(found["Key"])


def sign():
    print(client("s3", key, secret).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": sys.argv[6]}))


def tries():
    token, own, other = sys.argv[6:9]
    s3 = client("s3", key, secret, token)

    def outcome(operation, **arguments):
        try:
            operation(Bucket=bucket, **arguments)
            return "done"
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    print(json.dumps({
        "put into its own": outcome(s3.put_object, Key=f"sites/{own}/a.html", Body=b"x"),
        "put into another": outcome(s3.put_object, Key=f"sites/{other}/a.html", Body=b"x"),
        "put its zip": outcome(s3.put_object, Key=f"sites/{own}.zip", Body=b"x"),
        "get": outcome(s3.get_object, Key=f"sites/{own}/a.html"),
        "list": outcome(s3.list_objects_v2, Prefix=f"sites/{own}/"),
        "delete": outcome(s3.delete_object, Key=f"sites/{own}/a.html"),
    }))


{"up": up, "list": listing, "sign": sign, "try": tries}[command]()
